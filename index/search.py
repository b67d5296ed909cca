"""The search over one snapshot: candidates from the segment and the tail, scored alike, ordered, cut to k."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .exact import search_exact
from .options import AnnOptions
from .records import Candidates
from .snapshot import Snapshot

_SPARE = 8
"""Neighbours asked of the graph beyond k, so that vectors tying with the k-th are seen."""
_EF_PER_WANTED = 2
"""The graph examines so many candidates for each neighbour wanted, unless a call says otherwise."""
_TIE = 1e-6
"""Scores of the graph this close may be equal once computed in double precision."""
_EXACT_SHARE = 0.25
"""A search for more than this share of the living vectors scores them all: a graph would visit most."""

IdsOf = Callable[[list[int]], dict[int, str]]


def search(snapshot: Snapshot, queries: NDArray[np.float32], k: int, options: AnnOptions, ids_of: IdsOf) -> Candidates:
    """The ``k`` best live documents for each query.

    queries: ``(n_queries, dim)`` float32 unit rows.
    ids_of: gives the ids of all the rows it is asked about, or raises; asked only about documents with equal scores.

    Scores are inner products summed in float64 and rounded to float32, wherever a vector is stored: a document's
    score does not change when it moves from the tail into a segment, or with other queries in the same call.
    Neither does an exact answer; what a graph finds depends on the graph.
    """
    size = len(snapshot.segment.vectors)
    inside = _search_segment(snapshot, queries, k, options)
    outside = search_exact(queries, snapshot.tail.vectors, k, snapshot.alive[size:])
    rows = np.full((len(queries), k), -1, dtype=np.int64)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    for place, query in enumerate(queries):
        positions = np.concatenate([inside[place], outside[place] + size])
        best, best_scores = _rank(snapshot, query, positions, k, ids_of)
        rows[place, : len(best)] = best
        scores[place, : len(best)] = best_scores
    return Candidates(rows, scores)


def _search_segment(
    snapshot: Snapshot, queries: NDArray[np.float32], k: int, options: AnnOptions
) -> list[NDArray[np.int64]]:
    vectors, graph = snapshot.segment.vectors, snapshot.segment.graph
    alive = None if snapshot.all_alive else snapshot.alive[: len(vectors)]
    wanted = k + _SPARE
    if graph is None or options.exact or wanted > np.count_nonzero(snapshot.alive_nodes) * _EXACT_SHARE:
        return search_exact(queries, vectors, k, alive)
    ef_search = options.ef_search or max(snapshot.commit.options.ef_search, _EF_PER_WANTED * wanted)
    nodes, scores = graph.search(queries, wanted, ef_search, None if alive is None else snapshot.alive_nodes)
    short = (nodes[:, -1] < 0) | (scores[:, k - 1] - scores[:, -1] <= _TIE)
    found = [graph.twins.positions(row) for row in nodes]
    for place in np.flatnonzero(short):
        found[place] = search_exact(queries[place : place + 1], vectors, k, alive)[0]
    return found


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
