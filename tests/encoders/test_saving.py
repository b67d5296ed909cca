import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import CrossingConfig, TowerConfig, TwinConfig, read_config, write_config
from twinbert.encoders.serving.crossing import read_crossing
from twinbert.encoders.training.saving import export, load, save
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError

TEXTS = ["open the file", "read a stream", "", "close"]


def saved(tmp_path: Path, tower: TowerConfig, *, shared: bool = True, vocabulary: Path | None = None) -> ModelFolder:
    torch.manual_seed(0)
    student = Student(TwinConfig(tower=tower, shared=shared, query_tokens=6, document_tokens=12)).eval()
    torch.nn.init.normal_(student.head.output.weight)
    folder = ModelFolder(tmp_path / "model")
    save(student, folder, vocabulary)
    return folder


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_a_folder_serves_what_torch_computes(tmp_path: Path, shared: bool) -> None:
    folder = saved(tmp_path, TRIGRAMS, shared=shared)
    encoder, student = TwinEncoder.from_pretrained(folder.root, precision="fp32"), load(folder)
    queries, documents = encoder.encode_queries(TEXTS), encoder.encode_documents(TEXTS)
    assert np.array_equal(queries, documents) == shared
    expected = student.logits(torch.from_numpy(queries), torch.from_numpy(documents))[-1].detach().numpy()
    found = np.stack([encoder.score(query, documents) for query in queries])
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_wordpiece_reads_its_own_vocabulary(tmp_path: Path, vocabulary_file: Path) -> None:
    folder = saved(tmp_path, WORDPIECE, vocabulary=vocabulary_file)
    vectors = TwinEncoder.from_pretrained(folder.root).encode_documents(TEXTS)
    assert vectors.shape == (4, 24)
    assert np.isfinite(vectors).all()


def test_the_space_is_the_documents_own(tmp_path: Path) -> None:
    folder = saved(tmp_path / "a", TRIGRAMS, shared=False)
    student = load(folder)
    torch.nn.init.normal_(student.head.output.weight)
    torch.nn.init.normal_(student.towers.query.pool.logit.weight)
    save(student, ModelFolder(tmp_path / "head"), None)
    torch.nn.init.normal_(student.towers.document.pool.logit.weight)
    save(student, ModelFolder(tmp_path / "document"), None)
    space, of_head, of_document = (
        TwinEncoder.from_pretrained(root).space for root in (folder.root, tmp_path / "head", tmp_path / "document")
    )
    assert space == of_head != of_document


def test_every_file_that_serving_reads_is_held_to_its_checksum(tmp_path: Path, vocabulary_file: Path) -> None:
    folder = saved(tmp_path, WORDPIECE, vocabulary=vocabulary_file)
    for path in (folder.tokenizer, folder.head, folder.graph("query", "int8", shared=True)):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"x")
        with pytest.raises(ModelError, match=f"{path.name} is not the file that this model's config.json names"):
            TwinEncoder.from_pretrained(folder.root)
        path.unlink()
        with pytest.raises(ModelError, match=f"{path.name} is missing"):
            TwinEncoder.from_pretrained(folder.root, precision="int8")
        path.write_bytes(content)
    TwinEncoder.from_pretrained(folder.root)


def test_a_file_that_the_configuration_does_not_name_is_not_served(tmp_path: Path) -> None:
    folder = saved(tmp_path, TRIGRAMS)
    config = read_config(folder.config)
    files = {name: value for name, value in config.files.items() if "int8" not in name}
    write_config(dataclasses.replace(config, files=files), folder.config)
    with pytest.raises(ModelError, match="has no onnx/tower_int8.onnx"):
        TwinEncoder.from_pretrained(folder.root, precision="int8")
    fp32 = TwinEncoder.from_pretrained(folder.root, precision="fp32").encode_queries(TEXTS)
    np.testing.assert_array_equal(TwinEncoder.from_pretrained(folder.root).encode_queries(TEXTS), fp32)


def test_weights_of_another_shape_or_none_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, TRIGRAMS)
    config = folder.config.read_text()
    folder.config.write_text(config.replace('"layers": 2', '"layers": 3'))
    with pytest.raises(ModelError, match="model.safetensors: not the weights of this config.json"):
        load(folder)
    folder.weights.unlink()
    with pytest.raises(ModelError, match="shipped without its fp32 weights"):
        load(folder)


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "notes.txt").write_text("mine")
    with pytest.raises(ModelError, match="is not empty"):
        saved(tmp_path, TRIGRAMS)
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["notes.txt"]


def test_exporting_again_changes_nothing_but_what_the_configuration_says(tmp_path: Path) -> None:
    folder = saved(tmp_path, TRIGRAMS)
    before = {
        path: path.read_bytes() for path in (folder.config, folder.head, folder.graph("query", "int8", shared=True))
    }
    export(load(folder), folder)
    assert {path: path.read_bytes() for path in before} == before
    folder.config.write_text(folder.config.read_text().replace('"head_share": 1.0', '"head_share": 0.5'))
    full = read_crossing(folder.head, 32, CrossingConfig())
    export(load(folder), folder)
    half = read_crossing(folder.head, 32, CrossingConfig())
    np.testing.assert_allclose(half.head.vector, full.head.vector / 2, rtol=1e-6)


def test_a_model_without_a_head_serves_the_cosine(tmp_path: Path) -> None:
    folder = saved(tmp_path, TRIGRAMS)
    config = read_config(folder.config)
    files = {name: value for name, value in config.files.items() if name != "head.safetensors"}
    write_config(dataclasses.replace(config, files=files), folder.config)
    encoder = TwinEncoder.from_pretrained(folder.root)
    query, documents = encoder.encode_queries(["read"])[0], encoder.encode_documents(TEXTS)
    assert not encoder.has_head
    np.testing.assert_array_equal(encoder.score(query, documents), documents @ query)
