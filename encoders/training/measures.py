"""How well scores separate matching pairs from others: over all pairs, and within each query.

Pooled ROC-AUC also rewards knowing which queries have easy matches; the measures within a query do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InvalidInputError


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The chance that a matching pair scores above one that does not match; a tie counts half.

    labels: ``(n,)``, 1 or True for pairs that match, else 0. scores: ``(n,)``, higher is better.

    Raises InvalidInputError when the lengths differ, a score is not a number, or one of the two kinds is missing.
    """
    truth, values = _checked(labels, scores)
    if truth.all() or not truth.any():
        raise InvalidInputError("ROC-AUC needs pairs of both labels, and these have one: judge some of the other kind")
    return _auc(truth, values)


def grouped_auc(groups: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> float:
    """The mean over queries of each one's own ROC-AUC; queries whose pairs all have one label are left out.

    groups: ``(n,)``, the query of each pair, of any dtype. labels, scores: as in ``roc_auc``.

    Raises InvalidInputError as ``roc_auc`` does, and when no query has pairs of both labels.
    """
    truth, values = _checked(labels, scores)
    return _mean_over(groups, truth, values, _auc, lambda own: bool(own.any() and not own.all()))


def mean_average_precision(groups: ArrayLike, labels: ArrayLike, scores: ArrayLike) -> float:
    """The mean over queries of average precision; queries with no matching pair are left out.

    Equal scores share one rank, the lowest of theirs, so the order of the pairs does not matter.

    groups: ``(n,)``, the query of each pair, of any dtype. labels, scores: as in ``roc_auc``.

    Raises InvalidInputError when the lengths differ, a score is not a number, or no query has a matching pair.
    """
    truth, values = _checked(labels, scores)
    return _mean_over(groups, truth, values, _average_precision, lambda own: bool(own.any()))


def _mean_over(
    groups: ArrayLike,
    labels: NDArray[np.bool_],
    scores: NDArray[np.float64],
    measure: Callable[[NDArray[np.bool_], NDArray[np.float64]], float],
    counts: Callable[[NDArray[np.bool_]], bool],
) -> float:
    keys = np.asarray(groups)
    if keys.shape != labels.shape:
        raise InvalidInputError(f"{len(keys)} groups for {len(labels)} labels: give each pair one of each")
    values = [measure(labels[rows], scores[rows]) for rows in _rows_of_groups(keys) if counts(labels[rows])]
    if not values:
        raise InvalidInputError("no query has the labels that this measure needs: judge more pairs of one query")
    return float(np.mean(values))


def _rows_of_groups(groups: NDArray[np.generic]) -> Iterator[NDArray[np.intp]]:
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    yield from np.split(np.argsort(number, kind="stable"), np.cumsum(sizes)[:-1])


def _auc(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    positives, negatives = _counts_by_score(labels, scores)
    below = np.cumsum(negatives) - negatives
    return float((positives * (below + negatives / 2)).sum() / (positives.sum() * negatives.sum()))


def _average_precision(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    positives, negatives = (counts[::-1] for counts in _counts_by_score(labels, scores))
    found = np.cumsum(positives)
    return float((positives * found / (found + np.cumsum(negatives))).sum() / found[-1])


def _counts_by_score(
    labels: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Matching and other pairs at each distinct score, lowest first."""
    distinct, number = np.unique(scores, return_inverse=True)
    positives = np.bincount(number[labels], minlength=len(distinct))
    return positives, np.bincount(number, minlength=len(distinct)) - positives


def _checked(labels: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    given, values = np.asarray(labels), np.asarray(scores, dtype=np.float64)
    if given.ndim != 1 or given.shape != values.shape:
        raise InvalidInputError(f"labels {given.shape} and scores {values.shape}: give two rows of one length")
    if not np.isin(given, (0, 1)).all():
        raise InvalidInputError("labels other than 0 and 1: say which pairs match and which do not")
    if np.isnan(values).any():
        raise InvalidInputError(f"score {int(np.isnan(values).argmax())} is not a number")
    return given.astype(bool), values
