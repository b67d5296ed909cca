import math

import pytest
import torch
from twinbert.encoders.training.losses import alignment_loss, soft_label_loss, teacher_probabilities


def entropy(p: float, y: float) -> float:
    return -p * math.log(y) - (1 - p) * math.log(1 - y)


def test_soft_label_loss_is_the_paper_s_cross_entropy() -> None:
    loss = soft_label_loss(torch.tensor([0.0, math.log(3)]), torch.tensor([0.9, 0.2]))
    assert loss.item() == pytest.approx((entropy(0.9, 0.5) + entropy(0.2, 0.75)) / 2, abs=1e-6)


def test_temperature_softens_both_sides_and_is_scaled_back() -> None:
    logit = math.log(9)  # of probability .9; half of it is the logit of .75
    loss = soft_label_loss(torch.tensor([2 * math.log(4)]), torch.tensor([0.9]), temperature=2.0)
    assert 1 / (1 + math.exp(-logit / 2)) == pytest.approx(0.75)
    assert loss.item() == pytest.approx(4 * entropy(0.75, 0.8), abs=1e-5)


def test_the_loss_is_least_where_the_student_agrees() -> None:
    p = torch.tensor([0.3])
    agreeing = soft_label_loss(torch.logit(p), p)
    assert all(agreeing < soft_label_loss(torch.logit(p) + shift, p) for shift in (-0.5, 0.5))


def test_alignment_is_one_minus_the_mean_cosine() -> None:
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    targets = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    assert alignment_loss(vectors, targets).item() == pytest.approx(1 - (0.6 + 1.0) / 2)


def test_a_teacher_s_cosine_becomes_a_probability() -> None:
    q, d = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.0], [0.75, 0.0]])
    found = teacher_probabilities(q, d, sharpness=4.0, centre=0.5)
    torch.testing.assert_close(found, torch.tensor([[0.5, 1 / (1 + math.exp(-1))]]))
