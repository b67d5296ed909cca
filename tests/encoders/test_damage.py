"""Files that are whole, and signed by ``config.json``, but are not this model's: refused at load, by name."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.processors import BertProcessing
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TowerConfig, TwinConfig, read_config, write_config
from twinbert.encoders.training.saving import load, save
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError


def saved(root: Path, tower: TowerConfig, *, shared: bool = True, vocabulary: Path | None = None) -> ModelFolder:
    torch.manual_seed(0)
    student = Student(TwinConfig(tower=tower, shared=shared, query_tokens=6, document_tokens=12)).eval()
    save(student, ModelFolder(root), vocabulary)
    return ModelFolder(root)


def sign(folder: ModelFolder) -> None:
    """Make ``config.json`` name the files as they now are."""
    write_config(dataclasses.replace(read_config(folder.config), files=folder.checksums()), folder.config)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """The graphs of three models: trigrams of 32 dimensions and of 16, WordPiece of 32."""
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijkl"])}
    tokenizer = Tokenizer(WordPiece(words, unk_token="[UNK]"))
    tokenizer.post_processor = BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    root = tmp_path_factory.mktemp("models")
    tokenizer.save(str(root / "tokenizer.json"))
    wordpiece = dataclasses.replace(WORDPIECE, dimension=32)
    folders = {
        "trigrams": saved(root / "a", TRIGRAMS),
        "narrow": saved(root / "b", dataclasses.replace(TRIGRAMS, dimension=16)),
        "wordpiece": saved(root / "c", wordpiece, vocabulary=root / "tokenizer.json"),
    }
    return {name: _files(folder) for name, folder in folders.items()}


def _files(folder: ModelFolder) -> dict[str, bytes]:
    return {folder.name_of(path): path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}


def _written(files: dict[str, bytes], root: Path) -> ModelFolder:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return ModelFolder(root)


GRAPH = "onnx/tower_int8.onnx"


def _with_weights_elsewhere(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../weights.bin")
    return model.SerializeToString()


def _with_an_operator_of_its_own(graph: bytes) -> bytes:
    model = onnx.load_from_string(graph)
    model.opset_import.add(domain="stranger", version=1)
    model.graph.node[0].domain = "stranger"
    return model.SerializeToString()


CASES: list[tuple[str, Callable[[dict[str, dict[str, bytes]]], dict[str, bytes]], str]] = [
    (
        "trigrams",
        lambda models: {GRAPH: models["wordpiece"][GRAPH]},
        r"tower_int8.onnx is not the graph of a trigrams tower: it has ids tensor\(int64\) of rank 2",
    ),
    (
        "wordpiece",
        lambda models: {GRAPH: models["trigrams"][GRAPH]},
        r"tower_int8.onnx is not the graph of a wordpiece tower: it has ids tensor\(int64\) of rank 3",
    ),
    (
        "trigrams",
        lambda models: {GRAPH: models["narrow"][GRAPH]},
        "tower_int8.onnx gives 16 dimensions, config.json says 32",
    ),
    ("trigrams", lambda models: {GRAPH: models["trigrams"][GRAPH][:-2000]}, "tower_int8.onnx: ONNX Runtime cannot"),
    (
        "trigrams",
        lambda models: {GRAPH: _with_weights_elsewhere(models["trigrams"][GRAPH])},
        "tower_int8.onnx names further files for its weights",
    ),
    (
        "trigrams",
        lambda models: {GRAPH: _with_an_operator_of_its_own(models["trigrams"][GRAPH])},
        r"tower_int8.onnx: ONNX Runtime cannot load it \(.*stranger",
    ),
    ("trigrams", lambda _: {GRAPH: b""}, "tower_int8.onnx: ONNX Runtime cannot"),
    (
        "trigrams",
        lambda models: {GRAPH: models["trigrams"]["head.safetensors"]},
        "tower_int8.onnx: ONNX Runtime cannot",
    ),
    ("trigrams", lambda models: {"head.safetensors": models["trigrams"]["head.safetensors"][:-7]}, "head.safetensors"),
    ("trigrams", lambda models: {"head.safetensors": models["trigrams"]["model.safetensors"]}, "head.safetensors"),
    ("trigrams", lambda models: {"head.safetensors": models["narrow"]["head.safetensors"]}, "head.safetensors"),
    (
        "wordpiece",
        lambda models: {"tokenizer.json": models["wordpiece"]["tokenizer.json"][:-9]},
        "tokenizer.json: not a",
    ),
    (
        "wordpiece",
        lambda models: {
            "tokenizer.json": models["wordpiece"]["tokenizer.json"].replace(b'"l": 15', b'"l": 15, "m": 16')
        },
        "tokenizer.json has 17 tokens, config.json says 16",
    ),
]


@pytest.mark.parametrize(("name", "damage", "message"), CASES)
def test_a_file_of_another_model_is_refused_by_name(
    models: dict[str, dict[str, bytes]], tmp_path: Path, name: str, damage: Callable, message: str
) -> None:
    folder = _written(models[name], tmp_path)
    TwinEncoder.from_pretrained(folder.root)
    _written(damage(models), tmp_path)
    sign(folder)
    with pytest.raises(ModelError, match=message) as refused:
        TwinEncoder.from_pretrained(folder.root)
    assert "\n" not in str(refused.value)


def test_graphs_that_changed_places_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", TRIGRAMS, shared=False)
    query, document = (folder.graph(side, "int8", shared=False) for side in ("query", "document"))
    query.rename(tmp_path / "query")
    document.rename(query)
    (tmp_path / "query").rename(document)
    with pytest.raises(ModelError, match=r"query_int8.onnx is not the file that this model's config.json names"):
        TwinEncoder.from_pretrained(folder.root)


@pytest.mark.parametrize("length", [0, 7, 1000, -1])
def test_weights_that_are_cut_short_are_refused_by_name(
    models: dict[str, dict[str, bytes]], tmp_path: Path, length: int
) -> None:
    folder = _written(models["narrow"], tmp_path)
    folder.weights.write_bytes(folder.weights.read_bytes()[:length])
    with pytest.raises(ModelError, match="model.safetensors: not the weights of this config.json") as refused:
        load(folder)
    assert "\n" not in str(refused.value)


def test_another_library_s_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "hidden_size": 384}))
    with pytest.raises(ModelError, match=r"config.json: not a twinbert model's configuration \(.*\)$"):
        TwinEncoder.from_pretrained(tmp_path)
    (tmp_path / "modules.json").write_text("[]")
    with pytest.raises(ModelError, match="a sentence-transformers model is made one by twinbert model import$"):
        TwinEncoder.from_pretrained(tmp_path)


def test_a_configuration_that_names_files_outside_its_folder_copies_none(tmp_path: Path) -> None:
    folder = saved(tmp_path / "m", TRIGRAMS)
    encoder = TwinEncoder.from_pretrained(folder.root)
    config = read_config(folder.config)
    write_config(dataclasses.replace(config, files={**config.files, "../secret": "0" * 32}), folder.config)
    with pytest.raises(ModelError, match=r"config.json names ../secret, which lies outside the model's folder"):
        encoder.save_pretrained(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
