"""The search over one snapshot: candidates from the segment and the tail, scored alike, ordered, cut to k."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ann import SPARE, Ann
from .effort import Effort, effort_of
from .exact import search_exact
from .options import AnnOptions
from .records import Candidates
from .snapshot import Snapshot

_TIE = 1e-6
"""Exact scores this close may be equal once rounded to float32: then more of the same may be out of sight."""
_GATHER_SHARE = 0.5
"""Where fewer of the vectors count, they are gathered; else all are read in one sweep."""

IdsOf = Callable[[list[int]], dict[int, str]]


def search(snapshot: Snapshot, queries: NDArray[np.float32], k: int, options: AnnOptions, ids_of: IdsOf) -> Candidates:
    """The ``k`` best live documents for each query.

    queries: ``(n_queries, dim)`` float32 unit rows.
    ids_of: gives the ids of all the rows it is asked about, or raises; asked only about documents with equal scores.

    Scores are inner products summed in float64 and rounded to float32, wherever a vector is stored: a document's
    score does not change when it moves from the tail into a segment, or with other queries in the same call.
    Neither does an exact answer; what an ANN index finds depends on the index.
    """
    inside = _inside(snapshot, queries, k, options)
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for place, found in enumerate(_with_tail(snapshot, queries, k, inside)):
        best, best_scores = rank(snapshot, found, k, ids_of)
        rows[place, : len(best)] = best
        scores[place, : len(best)] = best_scores
    return Candidates(rows, scores)


@dataclass(frozen=True, slots=True)
class Scored:
    """Positions of vectors, ``(n,)`` int64, and their inner products with a query, ``(n,)`` float64."""

    positions: NDArray[np.int64]
    products: NDArray[np.float64]

    def joined(self, other: Scored) -> Scored:
        """These, and others."""
        if not len(other.positions):
            return self
        return Scored(
            np.concatenate([self.positions, other.positions]), np.concatenate([self.products, other.products])
        )

    def kth(self, k: int) -> float:
        """What the k-th best scores; minus infinity where there are fewer."""
        return float(np.partition(self.products, -k)[-k]) if len(self.products) >= k else -np.inf

    def tied_at_edge(self, k: int) -> bool:
        """Whether the worst scores no less than the k-th."""
        return len(self.products) > k and bool(self.kth(k) - self.products.min() <= _TIE)


def _scored(snapshot: Snapshot, query: NDArray[np.float32], positions: NDArray[np.int64]) -> Scored:
    return Scored(positions, snapshot.gather(positions).astype(np.float64) @ query.astype(np.float64))


def _inside(snapshot: Snapshot, queries: NDArray[np.float32], k: int, options: AnnOptions) -> list[Scored]:
    """Candidates from the segment."""
    ann = snapshot.segment.ann
    effort = None if ann is None else effort_of(snapshot, ann, k, options)
    if ann is None or effort is None:
        found = _exact_positions(snapshot, queries, k)
        return [_scored(snapshot, query, positions) for query, positions in zip(queries, found, strict=True)]
    return list(_by_ann(snapshot, ann, queries, k, effort))


def _with_tail(snapshot: Snapshot, queries: NDArray[np.float32], k: int, inside: list[Scored]) -> Iterator[Scored]:
    """The same, and fresh vectors that score as much as the k-th of them."""
    size, fresh = len(snapshot.segment.vectors), snapshot.tail.vectors
    if not len(fresh):
        yield from inside
        return
    alive = snapshot.alive[size:]
    floors = np.array([found.kth(k) for found in inside])
    outside = search_exact(queries, fresh, k, None if alive.all() else alive, floors=floors)
    for query, found, positions in zip(queries, inside, outside, strict=True):
        yield found.joined(_scored(snapshot, query, positions + size)) if len(positions) else found


def _exact_positions(snapshot: Snapshot, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
    vectors = snapshot.segment.vectors
    if snapshot.living == len(vectors):
        return search_exact(queries, vectors, k)
    alive = snapshot.alive[: len(vectors)]
    if snapshot.living > len(vectors) * _GATHER_SHARE:
        return search_exact(queries, vectors, k, alive)
    return search_exact(queries, vectors, k, among=np.flatnonzero(alive))


def _by_ann(snapshot: Snapshot, ann: Ann, queries: NDArray[np.float32], k: int, effort: Effort) -> Iterator[Scored]:
    """What the index finds; searched exactly where it came back short, or tied at its edge."""
    wanted = k * effort.refine + SPARE
    enough = min(wanted, snapshot.nodes)
    for query, row in zip(queries, _nodes(snapshot, ann, queries, wanted, effort), strict=True):
        found = _scored(snapshot, query, ann.twins.positions(row))
        if len(row) < enough or found.tied_at_edge(k):
            found = _scored(snapshot, query, _exact_positions(snapshot, query[None], k)[0])
        yield found


def _nodes(
    snapshot: Snapshot, ann: Ann, queries: NDArray[np.float32], wanted: int, effort: Effort
) -> list[NDArray[np.int64]]:
    if effort.plan is not None and effort.reach is not None:
        return effort.plan.nodes(queries, effort.reach)
    nodes, _ = ann.search(queries, wanted, effort.visits, snapshot.selector)
    return [row[row >= 0] for row in nodes]


def rank(snapshot: Snapshot, found: Scored, k: int, ids_of: IdsOf) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Rows and scores of the ``k`` best documents whose vectors were scored, best first; at most ``(k,)``."""
    rows, owners = snapshot.documents_at(found.positions, k)
    scores = found.products.astype(np.float32)[owners]
    order = np.argsort(-scores, kind="stable")
    if len(order) > k:
        order = order[scores[order] >= scores[order[k - 1]]]
    rows, scores = rows[order], scores[order]
    equal = scores[1:] == scores[:-1]
    if equal.any():
        order = _order_ties(rows, scores, np.append(equal, False) | np.append(False, equal), ids_of)
        rows, scores = rows[order], scores[order]
    return rows[:k], scores[:k]


def _order_ties(
    rows: NDArray[np.int64], scores: NDArray[np.float32], tied: NDArray[np.bool_], ids_of: IdsOf
) -> NDArray[np.int64]:
    """The order by score, then by id, both descending."""
    ids = ids_of(rows[tied].tolist())
    keys = [(score, ids.get(row, "")) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__, reverse=True), dtype=np.int64)
