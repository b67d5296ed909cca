from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert.encoders.config import TowerConfig
from twinbert.encoders.folder import Precision
from twinbert.encoders.training.export import export_tower
from twinbert.encoders.training.towers import Tower

SHAPES = [pytest.param(TRIGRAMS, id="trigrams"), pytest.param(WORDPIECE, id="wordpiece")]
LEAST_COSINE: dict[Precision, float] = {"fp32": 1 - 1e-6, "int8": 0.99}
"""What the graph may lose against torch, for random weights: int8 holds a random token table in 4 bits."""


def exported(config: TowerConfig, precision: Precision, folder: Path) -> tuple[Tower, onnxruntime.InferenceSession]:
    torch.manual_seed(0)
    tower = Tower(config).eval()
    for parameter in tower.parameters():  # weights of a size that makes rounding visible
        parameter.data.mul_(3.0)
    export_tower(tower, folder / "fp32.onnx", folder / "int8.onnx")
    return tower, onnxruntime.InferenceSession(folder / f"{precision}.onnx", providers=["CPUExecutionProvider"])


def inputs(config: TowerConfig, lengths: list[int]) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    width = (20,) if config.tokenizer == "trigrams" else ()
    ids = np.zeros((len(lengths), max(lengths), *width), dtype=np.int64)
    mask = np.zeros((len(lengths), max(lengths)), dtype=np.float32)
    for row, length in enumerate(lengths):
        ids[row, :length] = generator.integers(1, config.vocab_size, (length, *width))
        mask[row, :length] = 1
    return {"ids": ids, "mask": mask}


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_equals_torch_and_no_vector_depends_on_its_batch(
    config: TowerConfig, precision: Precision, tmp_path: Path
) -> None:
    tower, session = exported(config, precision, tmp_path)
    given = inputs(config, [1, 12, 5])
    found = session.run(["vectors"], given)[0]
    with torch.no_grad():
        expected = tower(torch.from_numpy(given["ids"]), torch.from_numpy(given["mask"])).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() >= LEAST_COSINE[precision]
    for row in range(3):
        length = int(given["mask"][row].sum())
        alone = session.run(
            ["vectors"], {"ids": given["ids"][row : row + 1, :length], "mask": np.ones((1, length), "f4")}
        )
        np.testing.assert_allclose(alone[0][0], found[row], atol=2e-6)


def test_int8_makes_a_smaller_file(tmp_path: Path) -> None:
    exported(TRIGRAMS, "fp32", tmp_path)
    fp32, int8 = ((tmp_path / f"{precision}.onnx").stat().st_size for precision in ("fp32", "int8"))
    assert int8 < fp32 / 6
