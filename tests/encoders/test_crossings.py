import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize
from tower_shapes import TRIGRAMS
from twinbert.encoders.config import TwinConfig
from twinbert.encoders.serving.crossing import read_crossing, write_crossing
from twinbert.encoders.training.crossings import CosineCrossing, ResidualHead
from twinbert.encoders.training.saving import fold
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError


def trained_head(dimension: int) -> ResidualHead:
    torch.manual_seed(0)
    head = ResidualHead(dimension)
    torch.nn.init.normal_(head.output.weight)
    torch.nn.init.normal_(head.output.bias)
    torch.nn.init.normal_(head.residual.bias)
    return head


def unit(rows: int, dimension: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(rows, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_cosine_crossing_is_an_affine_map_of_the_cosine() -> None:
    crossing = CosineCrossing(scale=8.0)
    q, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
    torch.testing.assert_close(crossing(q, d), torch.tensor([[8 * 0.6 - 4, -8 - 4.0]]))


def test_residual_head_is_the_formula_on_two_dimensions() -> None:
    head = ResidualHead(2)
    with torch.no_grad():
        head.residual.weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
        head.residual.bias.copy_(torch.tensor([0.5, 0.25]))
        head.output.weight.copy_(torch.tensor([[3.0, -2.0]]))
        head.output.bias.fill_(0.1)
    q, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8]])
    x, y = math.sqrt(2) * 1.0, math.sqrt(2) * 0.8  # √dimension · max(q, d)
    first, second = x + 2 * y + 0.5 + x, -y + 0.25 + y  # F(x) + x
    torch.testing.assert_close(head.unfolded(q, d), torch.tensor([[3 * first - 2 * second + 0.1]]))


def test_folding_changes_nothing() -> None:
    head, q, d = trained_head(48), unit(5, 48, 1), unit(7, 48, 2)
    torch.testing.assert_close(head(q, d), head.unfolded(q, d), atol=1e-4, rtol=1e-5)


def test_training_starts_from_the_cosine() -> None:
    student = Student(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12))
    cosine, residual = student.logits(unit(3, 32, 1), unit(4, 32, 2))
    assert torch.equal(cosine, residual)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_numpy_equals_torch_after_a_round_trip(share: float, tmp_path: Path) -> None:
    student = Student(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12, head_share=share))
    student.head = trained_head(32)
    write_crossing(fold(student), tmp_path / "head.safetensors")
    served = read_crossing(tmp_path / "head.safetensors", 32)
    q, d = unit(3, 32, 1), unit(100, 32, 2)
    expected = (student.cosine(q, d) + share * student.head(q, d)).detach().numpy()
    found = np.stack([served.score(row, d.numpy()) for row in q.numpy()])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_head_of_another_dimension_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "head.safetensors"
    write_crossing(fold(Student(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12))), path)
    with pytest.raises(ModelError, match="is for 32 dimensions, config.json says 64"):
        read_crossing(path, 64)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ModelError, match="head.safetensors: not a residual head"):
        read_crossing(path, 32)
