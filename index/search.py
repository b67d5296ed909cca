"""The search over one snapshot: candidates from the segment and the tail, scored alike, ordered, cut to k."""

from __future__ import annotations

from collections.abc import Callable

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
    size = len(snapshot.segment.vectors)
    effort = None if snapshot.segment.ann is None else effort_of(snapshot, snapshot.segment.ann, k, options)
    if snapshot.segment.ann is None or effort is None:
        inside = _exact_positions(snapshot, queries, k)
    else:
        inside = _ann_positions(snapshot, snapshot.segment.ann, queries, k, effort)
    outside = search_exact(queries, snapshot.tail.vectors, k, snapshot.alive[size:])
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for place, query in enumerate(queries):
        positions = np.concatenate([inside[place], outside[place] + size])
        best, best_scores = _rank(snapshot, query, positions, k, ids_of)
        rows[place, : len(best)] = best
        scores[place, : len(best)] = best_scores
    return Candidates(rows, scores)


def _exact_positions(snapshot: Snapshot, queries: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
    vectors = snapshot.segment.vectors
    if snapshot.living == len(vectors):
        return search_exact(queries, vectors, k)
    alive = snapshot.alive[: len(vectors)]
    if snapshot.living > len(vectors) * _GATHER_SHARE:
        return search_exact(queries, vectors, k, alive)
    return search_exact(queries, vectors, k, among=np.flatnonzero(alive))


def _ann_positions(
    snapshot: Snapshot, ann: Ann, queries: NDArray[np.float32], k: int, effort: Effort
) -> list[NDArray[np.int64]]:
    """What the index finds; searched exactly where it came back short, or tied at its edge."""
    wanted = k * effort.refine + SPARE
    nodes, _ = ann.search(queries, wanted, effort.visits, snapshot.selector)
    found = [ann.twins.positions(row) for row in nodes]
    for place, positions in enumerate(found):
        short = nodes[place, -1] < 0 and np.count_nonzero(nodes[place] >= 0) < min(wanted, snapshot.nodes)
        if short or _tied_at_edge(snapshot, queries[place], positions, k):
            found[place] = _exact_positions(snapshot, queries[place : place + 1], k)[0]
    return found


def _tied_at_edge(snapshot: Snapshot, query: NDArray[np.float32], positions: NDArray[np.int64], k: int) -> bool:
    if len(positions) <= k:
        return False
    products = snapshot.gather(positions) @ query
    kth = np.partition(products, -k)[-k]
    return bool(kth - products.min() <= _TIE)


def _rank(
    snapshot: Snapshot, query: NDArray[np.float32], positions: NDArray[np.int64], k: int, ids_of: IdsOf
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    products = snapshot.gather(positions).astype(np.float64) @ query.astype(np.float64)
    rows, owners = snapshot.documents_at(positions, k)
    scores = products.astype(np.float32)[owners]
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
