"""ROC-AUC and average precision, by hand and against counting every pair of pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.encoders.training.measures import grouped_auc, mean_average_precision, roc_auc
from twinbert.errors import InvalidInputError

judged = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30)


def test_auc_by_hand() -> None:
    # positives .9 and .4; negatives .6, .4 and .1: .9 beats three, .4 beats one and ties one
    assert roc_auc([1, 0, 1, 0, 0], [0.9, 0.6, 0.4, 0.4, 0.1]) == pytest.approx((3 + 1.5) / 6, abs=0)


def test_auc_of_each_query_is_averaged_and_one_sided_queries_are_left_out() -> None:
    groups = np.array(["b", "a", "a", "b", "b", "c", "d"])
    labels = np.array([1, 1, 0, 0, 0, 1, 0])
    scores = np.array([2.0, 0.1, 0.2, 1.0, 3.0, 9.0, 9.0])
    assert grouped_auc(groups, labels, scores) == (0.0 + 0.5) / 2


def test_average_precision_by_hand() -> None:
    groups = np.array([7, 7, 7, 7, 3, 3, 5])
    labels = np.array([1, 0, 1, 0, 0, 1, 0])
    scores = np.array([4.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    assert mean_average_precision(groups, labels, scores) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2, abs=1e-15)


@given(judged)
@settings(max_examples=200, deadline=None)
def test_auc_counts_the_pairs_of_pairs(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([label for label, _ in rows]), np.array([score for _, score in rows])
    pairs = [(high, low) for high in scores[labels] for low in scores[~labels]]
    if not pairs:
        with pytest.raises(InvalidInputError, match="both labels"):
            roc_auc(labels, scores)
        return
    expected = sum(1.0 if high > low else 0.5 if high == low else 0.0 for high, low in pairs) / len(pairs)
    assert roc_auc(labels, scores) == pytest.approx(expected, abs=1e-12)
    assert grouped_auc(np.zeros(len(rows)), labels, scores) == pytest.approx(expected, abs=1e-12)


@given(judged)
@settings(max_examples=100, deadline=None)
def test_same_answers_as_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    labels, scores = np.array([label for label, _ in rows]), np.array([float(score) for _, score in rows])
    if labels.any():
        expected = sklearn.average_precision_score(labels, scores)
        assert mean_average_precision(["q"] * len(rows), labels, scores) == pytest.approx(expected, abs=1e-12)
    if labels.any() and not labels.all():
        assert roc_auc(labels, scores) == pytest.approx(sklearn.roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 0], [0.5], "labels (2,) and scores (1,)"),
        ([1, 2], [0.5, 0.1], "labels other than 0 and 1"),
        ([1, 0], [0.5, float("nan")], "score 1 is not a number"),
        ([0, 0], [0.5, 0.1], "pairs of both labels"),
    ],
)
def test_bad_input_is_refused(labels: list[int], scores: list[float], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        roc_auc(labels, scores)
    assert message in str(caught.value)


def test_groups_that_cannot_be_measured_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="3 groups for 2 labels"):
        grouped_auc([1, 2, 3], [1, 0], [0.5, 0.1])
    with pytest.raises(InvalidInputError, match="no query has the labels"):
        grouped_auc([1, 2], [1, 0], [0.5, 0.1])
    with pytest.raises(InvalidInputError, match="no query has the labels"):
        mean_average_precision([1, 2], [0, 0], [0.5, 0.1])
