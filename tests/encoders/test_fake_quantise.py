import copy
import dataclasses

import numpy as np
import pytest
import torch
from test_export import padded, session_of, texts, tower_of
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert.encoders.config import TowerConfig
from twinbert.encoders.training.fake_quantise import quantised
from twinbert.errors import ModelError

SHAPES = [
    pytest.param(TRIGRAMS, id="trigrams"),
    pytest.param(WORDPIECE, id="wordpiece"),
    pytest.param(dataclasses.replace(WORDPIECE, pooling="mean", ffn_size=96, layers=3), id="mean"),
]


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("table", ["int8", "int4"])
def test_a_quantised_tower_computes_what_its_plain_int8_export_does(config: TowerConfig, table: str) -> None:
    tower = tower_of(config)
    given = padded(texts(config, [1, 12, 5, 9, 3, 12, 2, 7] * 4))
    inputs = (torch.from_numpy(given["ids"]), torch.from_numpy(given["mask"]))
    with torch.no_grad(), quantised(tower, table):
        quantised_vectors = tower(*inputs).numpy()
    with torch.no_grad():
        plain_vectors = tower(*inputs).numpy()
    exported = session_of(tower, "plain", table).run(["vectors"], given)[0]
    drift = 1 - (exported * quantised_vectors).sum(axis=1)
    assert np.median(drift) <= 1e-6
    assert drift.max() <= 2e-5  # where a number fell on the other side of a step
    assert (1 - (exported * plain_vectors).sum(axis=1)).min() > 10 * np.median(drift)


def test_parameters_keep_their_names_and_get_gradients_and_the_end_restores_all() -> None:
    tower = tower_of(WORDPIECE)
    before = copy.deepcopy(tower.state_dict())
    given = padded(texts(WORDPIECE, [5, 9]))
    inputs = (torch.from_numpy(given["ids"]), torch.from_numpy(given["mask"]))
    plain = tower(*inputs)
    with quantised(torch.nn.ModuleList([tower])):
        assert list(tower.state_dict()) == list(before)
        rounded = tower(*inputs)
        assert not torch.equal(plain, rounded)
        (rounded[0] @ rounded[1]).backward()
    for name, parameter in tower.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert torch.equal(tower(*inputs), plain)
    assert all(torch.equal(value, before[name]) for name, value in tower.state_dict().items())


def test_training_in_the_loop_draws_the_export_nearer_to_the_teacher() -> None:
    config = dataclasses.replace(WORDPIECE, pooling="mean")
    teacher = tower_of(config)
    student = copy.deepcopy(teacher)
    given = padded(texts(config, [5, 9, 12, 2] * 16))
    inputs = (torch.from_numpy(given["ids"]), torch.from_numpy(given["mask"]))
    aim = teacher(*inputs).detach()

    def loss_of_the_export() -> float:
        return float(1 - (session_of(student, "plain", "int4").run(None, given)[0] * aim.numpy()).sum(axis=1).mean())

    before = loss_of_the_export()
    optimiser = torch.optim.Adam(student.parameters(), lr=1e-3)
    with quantised(student, "int4"):
        for _ in range(60):
            optimiser.zero_grad()
            (1 - (student(*inputs) * aim).sum(dim=1)).mean().backward()
            optimiser.step()
    assert loss_of_the_export() < before / 2


def test_a_table_that_cannot_be_is_refused() -> None:
    tower = tower_of(dataclasses.replace(WORDPIECE, embedding_size=40))
    with pytest.raises(ModelError, match="multiple of 32"), quantised(tower, "int4"):
        pass
    with pytest.raises(ModelError, match="no token table in int2: name one of int8, int4"), quantised(tower, "int2"):
        pass
