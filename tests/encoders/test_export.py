import dataclasses

import numpy as np
import onnxruntime
import pytest
import torch
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert.encoders.config import TowerConfig
from twinbert.encoders.training.quantisation.calibration import capture
from twinbert.encoders.training.quantisation.graph import fp32_graph
from twinbert.encoders.training.quantisation.quantise import TowerQuantiser
from twinbert.encoders.training.quantisation.recipe import RECIPES
from twinbert.encoders.training.towers import Tower

SHAPES = [
    pytest.param(TRIGRAMS, id="trigrams"),
    pytest.param(WORDPIECE, id="wordpiece"),
    pytest.param(dataclasses.replace(WORDPIECE, pooling="mean", tanh=True), id="mean"),
    pytest.param(dataclasses.replace(WORDPIECE, pooling="cls", skip=False, dimension=32), id="cls"),
]
PRECISIONS = ["fp32", *(recipe.name for recipe in RECIPES)]
LEAST_COSINE = {"fp32": 1 - 1e-6, "plain": 0.999, "smooth": 0.999}
"""What the graph may lose against torch for random weights; 0.9995 where a product's activations are in two parts."""


def tower_of(config: TowerConfig) -> Tower:
    torch.manual_seed(0)
    tower = Tower(config).eval()
    for parameter in tower.parameters():  # weights of a size that makes rounding visible
        parameter.data.mul_(3.0)
    return tower


def texts(config: TowerConfig, lengths: list[int], seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    width = (20,) if config.tokenizer == "trigrams" else ()
    return [generator.integers(1, config.vocab_size, (length, *width)) for length in lengths]


def padded(rows: list[np.ndarray]) -> dict[str, np.ndarray]:
    longest = max(len(row) for row in rows)
    ids = np.zeros((len(rows), longest, *rows[0].shape[1:]), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.float32)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return {"ids": ids, "mask": mask}


def session_of(tower: Tower, precision: str, table: str = "int8") -> onnxruntime.InferenceSession:
    if precision == "fp32":
        model = fp32_graph(tower)
    else:
        inputs = capture(tower, texts(tower.config, [12, 3, 7, 1] * 8, seed=1))
        recipe = next(recipe for recipe in RECIPES if recipe.name == precision)
        model = TowerQuantiser(tower, inputs, table).graph(recipe)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_onnx_equals_torch_and_no_vector_depends_on_its_batch(config: TowerConfig, precision: str) -> None:
    tower, rows = tower_of(config), texts(config, [1, 12, 5])
    session = session_of(tower, precision)
    given = padded(rows)
    found = session.run(["vectors"], given)[0]
    with torch.no_grad():
        expected = tower(torch.from_numpy(given["ids"]), torch.from_numpy(given["mask"])).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() >= LEAST_COSINE.get(precision, 0.9995)
    for row, vector in zip(rows, found, strict=True):
        alone = session.run(["vectors"], padded([row]))[0][0]
        np.testing.assert_allclose(alone, vector, atol=2e-6)


@pytest.mark.parametrize("config", SHAPES)
def test_a_text_of_nothing_known_gets_a_unit_vector(config: TowerConfig) -> None:
    tower = tower_of(config)
    tower.positions.weight.data[0] = 0  # so that a row of zeros meets the quantisation
    for precision in PRECISIONS:
        zeros = padded([np.zeros_like(row) for row in texts(config, [1])])
        vector = session_of(tower, precision).run(["vectors"], zeros)[0][0]
        assert np.isfinite(vector).all()


def test_the_table_s_formats_make_smaller_files() -> None:
    tower = tower_of(TRIGRAMS)
    recipe = RECIPES[0]
    fp32, int8, int4 = (
        len(model.SerializeToString())
        for model in (
            fp32_graph(tower),
            TowerQuantiser(tower, None, "int8").graph(recipe),
            TowerQuantiser(tower, None, "int4").graph(recipe),
        )
    )
    assert int8 < fp32 / 3
    assert int4 < fp32 / 6
