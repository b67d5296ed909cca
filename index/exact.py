"""Exact nearest neighbours by inner product: for small indexes, fresh vectors, filters, and where an ANN is short."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK_ROWS = 65_536
GATHERED_ROWS = 4_096
QUERY_ROWS = 64
"""Vectors and queries scored at once: bounds a block of scores to 16 MiB, whatever the corpus."""


def search_exact(
    queries: NDArray[np.float32],
    vectors: NDArray[np.floating],
    k: int,
    alive: NDArray[np.bool_] | None = None,
    *,
    among: NDArray[np.int64] | None = None,
    floors: NDArray[np.float64] | None = None,
) -> list[NDArray[np.int64]]:
    """Positions of the ``k`` best vectors for each query, and of all that may tie with the k-th; in no order.

    queries: ``(n_queries, dim)`` float32 unit rows.
    vectors: ``(n, dim)`` float32 or float16 unit rows, possibly memory-mapped.
    alive: ``(n,)`` False for vectors to leave out; all vectors when None.
    among: ``(m,)`` int64 ascending: look at these positions only, instead of ``alive``.
    floors: ``(n_queries,)`` scores below which nothing is of interest, by more than rounding; without ``among``.

    Returns one int64 array a query: every position whose score is above the k-th best or within rounding of
    it.
    """
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), QUERY_ROWS):
        some = queries[start : start + QUERY_ROWS]
        if among is None:
            least = None if floors is None else floors[start : start + QUERY_ROWS]
            found += _search_all(some, vectors, k, alive, least)
        else:
            found += _search_among(some, vectors, k, among)
    return found


def _search_all(
    queries: NDArray[np.float32],
    vectors: NDArray[np.floating],
    k: int,
    alive: NDArray[np.bool_] | None,
    floors: NDArray[np.float64] | None,
) -> list[NDArray[np.int64]]:
    best = [_Best(k, rounding(vectors.shape[1])) for _ in queries]
    for kept, floor in zip(best, () if floors is None else floors, strict=False):
        kept.expect(float(floor))
    rows = BLOCK_ROWS if vectors.dtype == np.float32 else BLOCK_ROWS // 8  # a widened block stays in the cache
    for start in range(0, len(vectors), rows):
        scores = queries @ vectors[start : start + rows].astype(np.float32, copy=False).T
        if alive is not None:
            scores[:, ~alive[start : start + rows]] = -np.inf
        for kept, row in zip(best, scores, strict=True):
            kept.take(row, start)
    return [kept.positions for kept in best]


def _search_among(
    queries: NDArray[np.float32], vectors: NDArray[np.floating], k: int, among: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    best = [_Best(k, rounding(vectors.shape[1])) for _ in queries]
    for start in range(0, len(among), GATHERED_ROWS):
        block = vectors[among[start : start + GATHERED_ROWS]].astype(np.float32, copy=False)
        for kept, row in zip(best, queries @ block.T, strict=True):
            kept.take(row, start)
    return [among[kept.positions] for kept in best]


def rounding(dimension: int) -> float:
    """How far apart two float32 inner products of unit vectors may stand that are truly equal.

    Each errs by at most ``dimension`` units of 2**-24 (Higham, Accuracy and Stability, section 3.1).
    """
    return 2.0 * dimension * 2.0**-24


class _Best:
    """The best positions of one query so far."""

    def __init__(self, k: int, margin: float) -> None:
        self._k, self._margin = k, margin
        self._floor = float(np.finfo(np.float32).min)
        self._scores = np.empty(0, dtype=np.float32)
        self.positions = np.empty(0, dtype=np.int64)

    def expect(self, score: float) -> None:
        """Know that ``k`` vectors score so much: what scores less, beyond rounding, is of no interest."""
        self._floor = max(self._floor, score - self._margin)

    def take(self, scores: NDArray[np.float32], start: int) -> None:
        """Consider the vectors at ``start`` and after."""
        if len(scores) > self._k:
            self.expect(float(np.partition(scores, -self._k)[-self._k]))
        new = np.flatnonzero(scores >= self._floor)
        if not len(new):
            return
        self._scores = np.concatenate([self._scores, scores[new]])
        self.positions = np.concatenate([self.positions, new + start])
        if len(self._scores) > self._k:
            self.expect(float(np.partition(self._scores, -self._k)[-self._k]))
            keep = self._scores >= self._floor
            self._scores, self.positions = self._scores[keep], self.positions[keep]
