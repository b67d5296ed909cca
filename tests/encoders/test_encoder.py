import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.folder import STARTER_FOLDER, locate
from twinbert.errors import ModelError

SENTENCES = ["strip blanks from both ends", "how to read a file", "x"]


def test_the_starter_ships_within_fifteen_megabytes_and_without_fp32_weights() -> None:
    files = [path for path in STARTER_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15_000_000
    assert not ModelFolder(STARTER_FOLDER).weights.exists()
    assert ModelFolder(STARTER_FOLDER).card.exists()


def test_vectors_are_unit_rows_in_the_order_of_the_texts(starter: TwinEncoder) -> None:
    together = starter.encode_documents(SENTENCES)
    alone = np.concatenate([starter.encode_documents([text]) for text in SENTENCES])
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(together, alone, atol=2e-6)


def test_a_vector_does_not_depend_on_threads(starter: TwinEncoder) -> None:
    texts = [f"{text} {number}" for number in range(200) for text in SENTENCES]
    several = TwinEncoder.from_pretrained(threads=3).encode_documents(texts)
    np.testing.assert_allclose(several, starter.encode_documents(texts), atol=2e-6)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "🙂", "你好 世界", "Ελλάδα", "a\0b", "word " * 20_000])
def test_odd_texts_get_a_finite_unit_vector(starter: TwinEncoder, text: str) -> None:
    vector = starter.encode_queries([text])[0]
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_rows(starter: TwinEncoder) -> None:
    assert starter.encode_queries([]).shape == (0, starter.dimension)


def test_meaning_beats_shared_words(starter: TwinEncoder) -> None:
    query = starter.encode_queries(["remove a directory with all that is in it"])[0]
    right, wrong = starter.encode_documents(
        ["Recursively delete a folder tree and its files.", "The directory listing is shown in a table of all names."]
    )
    assert query @ right > query @ wrong


def test_serving_imports_neither_torch_nor_transformers() -> None:
    program = (
        "import sys, twinbert; e = twinbert.TwinEncoder.from_pretrained(); e.encode_queries(['a']);"
        "twinbert.Retriever; print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_is_found_as_the_hub_s_cache_lays_it_out(tmp_path: Path) -> None:
    repository = tmp_path / "models--someone--small-twin"
    snapshot = repository / "snapshots" / "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(STARTER_FOLDER, snapshot)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(snapshot.name)
    encoder = TwinEncoder.from_pretrained("someone/small-twin", cache_dir=tmp_path, local_files_only=True)
    assert encoder.source == "someone/small-twin"
    np.testing.assert_array_equal(encoder.encode_queries(["x"]), TwinEncoder.from_pretrained().encode_queries(["x"]))


def test_a_hub_id_that_is_not_cached_is_refused_without_the_network(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no folder at someone/nothing, and no such model could be had from the hub"):
        locate("someone/nothing", cache_dir=tmp_path, local_files_only=True)


@pytest.mark.parametrize("name", ["no such folder", "a/b/c"])
def test_what_can_be_no_hub_id_is_refused_at_once(name: str) -> None:
    with pytest.raises(ModelError, match='name "starter", a folder or a hub id'):
        locate(name)


@pytest.mark.parametrize("name", ["./missing", "/missing", "../missing", "~/missing", "missing/", Path("missing")])
def test_what_can_only_be_a_path_never_goes_to_the_network(name: str | Path) -> None:
    with pytest.raises(ModelError, match=f"no folder at {name}: check the path"):
        locate(name)


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder and has no revision main: name one of a hub id"):
        locate(tmp_path, revision="main")


def test_a_file_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.zip").write_bytes(b"PK")
    with pytest.raises(ModelError, match="no folder at model.zip: check the path"):
        locate("model.zip")


def copy_of_starter(tmp_path: Path) -> ModelFolder:
    shutil.copytree(STARTER_FOLDER, tmp_path / "copy")
    return ModelFolder(tmp_path / "copy")


def test_a_folder_without_configuration_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a twinbert model folder: it has no config.json"):
        TwinEncoder.from_pretrained(tmp_path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    folder = copy_of_starter(tmp_path)
    config = json.loads(folder.config.read_text())
    folder.config.write_text(json.dumps(config | {"format_version": 2}))
    with pytest.raises(ModelError, match="format 2 is newer than this twinbert reads: upgrade twinbert"):
        TwinEncoder.from_pretrained(folder.root)


def test_a_damaged_configuration_is_refused_by_name(tmp_path: Path) -> None:
    folder = copy_of_starter(tmp_path)
    folder.config.write_text("{")
    with pytest.raises(ModelError, match=r"config.json: not a twinbert model's configuration"):
        TwinEncoder.from_pretrained(folder.root)


def test_a_tokenizer_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder = copy_of_starter(tmp_path)
    config = json.loads(folder.config.read_text())
    config["tower"]["vocab_size"] = 30_000
    folder.config.write_text(json.dumps(config))
    with pytest.raises(ModelError, match="has 30522 tokens, config.json says 30000"):
        TwinEncoder.from_pretrained(folder.root)


def test_fp32_is_refused_where_it_is_not_shipped() -> None:
    with pytest.raises(
        ModelError,
        match="has no onnx/tower.onnx: its config.json names canaries.safetensors, head.safetensors, onnx/tower_int8",
    ):
        TwinEncoder.from_pretrained(precision="fp32")
