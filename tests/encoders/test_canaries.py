import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import read_config, write_config
from twinbert.encoders.folder import STARTER_FOLDER, checksum
from twinbert.encoders.serving.canaries import TEXTS
from twinbert.errors import ModelError


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    shutil.copytree(STARTER_FOLDER, tmp_path / "copy")
    return ModelFolder(tmp_path / "copy")


def kept(folder: ModelFolder) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(folder.canaries)


def change(folder: ModelFolder, vectors: dict[str, np.ndarray]) -> None:
    """Write other canaries, with the checksum that goes with them."""
    safetensors.numpy.save_file(vectors, folder.canaries)
    config = read_config(folder.config)
    config.files[folder.canaries.name] = checksum(folder.canaries)
    write_config(config, folder.config)


def drifted(vectors: np.ndarray, drift: float) -> np.ndarray:
    """The first unit row turned until 1 - cosine is ``drift``."""
    first = vectors[0].astype(np.float64)
    aside = np.eye(len(first))[0] - first[0] * first
    turned = (1 - drift) * first + np.sqrt(1 - (1 - drift) ** 2) * aside / np.linalg.norm(aside)
    return np.concatenate([turned[None], vectors[1:]]).astype(np.float32)


def test_the_starter_s_canaries_are_its_own_vectors(starter: TwinEncoder) -> None:
    vectors = kept(ModelFolder(STARTER_FOLDER))
    assert sorted(vectors) == ["document.int8", "query.int8"]
    for name, encode in (("query", starter.encode_queries), ("document", starter.encode_documents)):
        assert (encode(TEXTS) * vectors[f"{name}.int8"]).sum(axis=1).min() > 1 - 1e-3


@pytest.mark.parametrize("side", ["query", "document"])
def test_a_drift_beyond_rounding_is_refused_with_its_remedy(folder: ModelFolder, side: str) -> None:
    vectors = kept(folder)
    change(folder, vectors | {f"{side}.int8": drifted(vectors[f"{side}.int8"], 5e-3)})
    with pytest.raises(
        ModelError, match=f"int8 {side} vectors differ .* by 0.005 .*: load the model in fp32, export it"
    ):
        TwinEncoder.from_pretrained(folder.root)


def test_a_small_drift_is_borne(folder: ModelFolder) -> None:
    vectors = kept(folder)
    change(folder, vectors | {"query.int8": drifted(vectors["query.int8"], 5e-4)})
    TwinEncoder.from_pretrained(folder.root)


@pytest.mark.parametrize("bad", [np.full((3, 384), np.nan, dtype=np.float32), np.zeros((2, 384), dtype=np.float32)])
def test_what_are_no_vectors_is_refused(folder: ModelFolder, bad: np.ndarray) -> None:
    change(folder, kept(folder) | {"query.int8": bad})
    with pytest.raises(ModelError, match="canaries"):
        TwinEncoder.from_pretrained(folder.root)


def test_the_check_can_be_left_out(folder: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = kept(folder)
    change(folder, vectors | {"query.int8": drifted(vectors["query.int8"], 0.5)})
    TwinEncoder.from_pretrained(folder.root, canaries=False)
    monkeypatch.setenv("TWINBERT_CANARIES", "off")
    TwinEncoder.from_pretrained(folder.root)


def test_a_model_without_canaries_loads(folder: ModelFolder) -> None:
    folder.canaries.unlink()
    config = read_config(folder.config)
    del config.files[folder.canaries.name]
    write_config(config, folder.config)
    assert TwinEncoder.from_pretrained(folder.root).encode_queries(["a"]).shape == (1, 384)


def test_an_altered_file_is_refused(folder: ModelFolder) -> None:
    folder.canaries.write_bytes(folder.canaries.read_bytes()[:-1])
    with pytest.raises(ModelError, match="canaries.safetensors is not the file that this model's config.json names"):
        TwinEncoder.from_pretrained(folder.root)
