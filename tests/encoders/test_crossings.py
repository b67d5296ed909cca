import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from tower_shapes import TRIGRAMS
from twinbert.encoders.config import CrossingConfig, TwinConfig
from twinbert.encoders.serving.crossing import read_crossing, write_crossing
from twinbert.encoders.training.crossings import CosineCrossing, ResidualHead
from twinbert.encoders.training.saving import fold
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError

MAX = CrossingConfig()
ALL = [
    pytest.param(CrossingConfig(combination=combination, residual=residual, width=5), id=f"{combination}-{residual}")
    for combination in ("max", "product", "concat")
    for residual in ("linear", "relu", "bottleneck")
    if (combination, residual) != ("concat", "linear")
]


def trained_head(dimension: int, config: CrossingConfig = MAX) -> ResidualHead:
    torch.manual_seed(0)
    head = ResidualHead(dimension, config)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return head


def twin(**changes: object) -> TwinConfig:
    return TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12, **changes)  # type: ignore[arg-type]


def unit(rows: int, dimension: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_cosine_crossing_is_an_affine_map_of_the_cosine() -> None:
    crossing = CosineCrossing(scale=8.0)
    q, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    torch.testing.assert_close(crossing(q, d), torch.tensor([[8 * 0.6 - 4, -8 - 4.0]]))


def filled(head: ResidualHead, **weights: list) -> ResidualHead:
    """A head with these weights."""
    state = {name.replace("__", "."): torch.tensor(value) for name, value in weights.items()}
    head.load_state_dict(state)
    return head


FORMULA = {
    "residual__weight": [[1.0, 2.0], [0.0, -1.0]],
    "residual__bias": [0.5, 0.25],
    "output__weight": [[3.0, -2.0]],
    "output__bias": [0.1],
}


@pytest.mark.parametrize(("combination", "x", "y"), [("max", math.sqrt(2), math.sqrt(2) * 0.8), ("product", 1.2, 0.0)])
def test_the_linear_head_is_the_formula_on_two_dimensions(combination, x: float, y: float) -> None:
    head = filled(ResidualHead(2, CrossingConfig(combination=combination)), **FORMULA)
    q, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    first, second = x + 2 * y + 0.5 + x, -y + 0.25 + y  # F(x) + x
    torch.testing.assert_close(head.unfolded(q, d), torch.tensor([[3 * first - 2 * second + 0.1]]))


def test_the_relu_head_is_the_formula_on_two_dimensions() -> None:
    head = filled(ResidualHead(2, CrossingConfig(residual="relu")), **FORMULA)
    x, y = math.sqrt(2) * 1.0, math.sqrt(2) * 0.8
    first, second = max(x + 2 * y + 0.5, 0) + x, max(-y + 0.25, 0) + y  # ReLU(W x + b) + x
    found = head(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(found, torch.tensor([[3 * first - 2 * second + 0.1]]))


def test_the_bottleneck_head_is_the_formula_on_two_dimensions() -> None:
    weights = {
        "narrow__weight": [[1.0, -1.0]],
        "narrow__bias": [0.5],
        "widen__weight": [[2.0], [-4.0]],
        "widen__bias": [0.0, 1.0],
        "output__weight": [[3.0, -2.0]],
        "output__bias": [0.1],
    }
    head = filled(ResidualHead(2, CrossingConfig(residual="bottleneck", width=1)), **weights)
    x, y = math.sqrt(2) * 1.0, math.sqrt(2) * 0.8
    inner = max(x - y + 0.5, 0)
    first, second = max(2 * inner + x, 0), max(-4 * inner + 1 + y, 0)  # ReLU(V·ReLU(W x + b) + c + x)
    found = head(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]]))
    torch.testing.assert_close(found, torch.tensor([[3 * first - 2 * second + 0.1]]))


def test_concatenation_stands_query_first() -> None:
    head = ResidualHead(2, CrossingConfig(combination="concat", residual="relu"))
    with torch.no_grad():
        head.residual.weight.zero_()
        head.residual.bias.zero_()
        head.output.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
    found = head(torch.tensor([[0.1, 0.2]]), torch.tensor([[0.3, 0.4]]))
    torch.testing.assert_close(found, torch.tensor([[math.sqrt(2) * (0.1 + 2.0 + 30.0 + 400.0)]]))


@pytest.mark.parametrize("combination", ["max", "product"])
def test_folding_changes_nothing(combination) -> None:
    head, q, d = trained_head(48, CrossingConfig(combination=combination)), unit(5, 48, 1), unit(7, 48, 2)
    torch.testing.assert_close(head(q, d), head.unfolded(q, d), atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("crossing", ALL)
def test_training_starts_from_the_cosine(crossing: CrossingConfig) -> None:
    student = Student(twin(crossing=crossing))
    cosine, residual = student.logits(unit(3, 32, 1), unit(4, 32, 2))
    assert torch.equal(cosine, residual)


def test_the_paper_s_pure_score_leaves_the_cosine_out() -> None:
    student = Student(twin(crossing=CrossingConfig(cosine=False)))
    q, d = unit(3, 32, 1), unit(4, 32, 2)
    _, residual = student.logits(q, d)
    assert torch.equal(residual, student.head(q, d))
    assert residual.abs().max() > 0  # its output does not start at zero


def test_a_model_without_a_crossing_has_the_cosine_alone() -> None:
    student = Student(twin(crossing=None))
    assert student.head is None
    assert len(student.logits(unit(1, 32, 1), unit(2, 32, 2))) == 1


@pytest.mark.parametrize("share", [1.0, 0.25])
@pytest.mark.parametrize("crossing", [*ALL, pytest.param(CrossingConfig(cosine=False), id="pure")])
def test_numpy_equals_torch_after_a_round_trip(crossing: CrossingConfig, share: float, tmp_path: Path) -> None:
    student = Student(twin(crossing=crossing, head_share=share))
    student.head = trained_head(32, crossing)
    write_crossing(fold(student, student.head), tmp_path / "head.safetensors")
    served = read_crossing(tmp_path / "head.safetensors", 32, crossing)
    q, d = unit(3, 32, 1), unit(100, 32, 2)
    cosine = student.cosine(q, d) if crossing.cosine else 0
    expected = (cosine + share * student.head.unfolded(q, d)).detach().numpy()
    found = np.stack([served.score(row, d.numpy()) for row in q.numpy()])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-5)


def test_a_head_of_another_dimension_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    student = Student(twin())
    write_crossing(fold(student, student.head), path)
    with pytest.raises(ModelError, match="is for 32 dimensions, config.json says 64 by max"):
        read_crossing(path, 64, MAX)
    with pytest.raises(ModelError, match="head.safetensors: not a relu residual head"):
        read_crossing(path, 32, CrossingConfig(residual="relu"))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="head.safetensors: not a linear residual head"):
        read_crossing(path, 32, MAX)
