import math

import pytest
import torch
from twinbert.encoders.training.losses import (
    alignment_loss,
    contrastive_loss,
    logit_loss,
    margin_loss,
    random_negative_loss,
    soft_label_loss,
    teacher_probabilities,
)


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


NAN = float("nan")


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_pairs_without_a_label_count_nothing() -> None:
    logits = torch.tensor([0.5, 3.0, -1.0])
    some = soft_label_loss(logits, torch.tensor([0.9, NAN, 0.2]))
    assert some.item() == pytest.approx(soft_label_loss(logits[[0, 2]], torch.tensor([0.9, 0.2])).item())
    assert soft_label_loss(logits, torch.full((3,), NAN)).item() == 0


def test_logit_loss_is_the_squared_error_on_the_teacher_s_logit() -> None:
    loss = logit_loss(torch.tensor([1.0, 0.0, 5.0]), torch.tensor([0.5, 0.8, NAN]))
    assert loss.item() == pytest.approx((1.0 + logit(0.8) ** 2) / 2, abs=1e-5)


def test_margins_are_compared_within_a_query_alone() -> None:
    logits, scores = torch.tensor([2.0, 0.5, 9.0]), torch.tensor([0.9, 0.4, 0.1])
    loss = margin_loss(logits, scores, torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx((1.5 - (logit(0.9) - logit(0.4))) ** 2, abs=1e-4)
    assert margin_loss(logits, scores, torch.tensor([0, 1, 2])).item() == 0


def test_contrast_leaves_a_query_s_other_answers_out() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 1.0]])
    queries, documents = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 2])
    loss = contrastive_loss(logits, queries, documents, torch.tensor([True, True, False]))
    first = -math.log(math.e / (math.e + 1))  # documents 0 and 2; document 1 is an answer too
    second = -math.log(math.e**2 / (math.e**2 + 1))
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_random_negatives_are_never_listed_pairs() -> None:
    logits = torch.tensor([[50.0, -1.0], [-2.0, 50.0]])  # the listed pairs would cost 50 each
    torch.manual_seed(0)
    loss = random_negative_loss(logits, torch.tensor([0, 1]), torch.tensor([0, 1]), count=8)
    costs = [math.log1p(math.exp(-1)), math.log1p(math.exp(-2))]
    assert min(costs) <= loss.item() <= max(costs)
