"""Builds and extends FAISS indexes, in blocks, within a memory budget, and checks that nothing got lost in them."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .ann import Ann
from .choice import fits_full_graph, train_rows
from .keys import Family, Kind, graph_and_storage, inner_of, made
from .options import BuildOptions
from .twins import Twins

_faiss: Any = faiss  # its type stubs lack what only SWIG's classes have
ADD_ROWS = 16_384
SELF_RECALL = 0.98
"""Share of sampled vectors that must find themselves, or one as near, among their best."""
_HARDER = 16
"""How much harder is looked before a vector counts as lost: data may be hard to search, which tuning takes care of."""
_SAMPLE, _AS_NEAR = 1_000, 1e-4
_NEIGHBOURS, _COARSE_NEIGHBOURS = 40, 400
"""How far down a vector may stand in its own search: coarse codes are told apart by the exact scores that follow."""


def build_ann(vectors: NDArray[np.floating], twins: Twins, family: Family, options: BuildOptions) -> Ann:
    """Index the distinct ones of ``vectors``, ``(n, dim)`` unit rows, possibly mapped.

    Raises InvalidInputError when the vectors cannot be found again by the index.
    """
    leaders = twins.leaders()
    halves = graph_and_storage(family.key)
    if halves is not None and fits_full_graph(family.key, len(leaders), vectors.shape[1], options.memory):
        index = _compressed(_filled(halves[0], vectors, leaders, family, options), family, vectors, leaders)
    else:
        index = _filled(family.key, vectors, leaders, family, options)
    return _checked(Ann(index, family, twins), vectors, options)


def extend_ann(index: Any, vectors: NDArray[np.floating], twins: Twins, family: Family, options: BuildOptions) -> Ann:  # noqa: ANN401
    """Add to FAISS's own ``index``, which nobody searches, the nodes of ``twins`` that it lacks.

    vectors: ``(n, dim)`` unit rows, possibly mapped. Raises InvalidInputError as ``build_ann``.
    """
    _add(index, vectors, twins.leaders()[index.ntotal :])
    return _checked(Ann(index, family, twins), vectors, options)


def self_recall(ann: Ann, vectors: NDArray[np.floating], visits: int) -> float:
    """Share of up to 1,000 distinct vectors that find themselves, or as many as near as themselves, by search."""
    if not len(ann.twins):
        return 1.0
    own = np.unique(np.linspace(0, len(ann.twins) - 1, _SAMPLE, dtype=np.int64))
    wanted = as_float32(vectors[ann.twins.leaders()[own]])
    k = _NEIGHBOURS if ann.family.is_fine else _COARSE_NEIGHBOURS
    nodes, scores = ann.search(wanted, k, visits)
    found = (nodes == own[:, None]).any(axis=1) | (scores[:, -1] >= 1 - _AS_NEAR)
    return float(found.mean())


def default_visits(family: Family, options: BuildOptions) -> int:
    """EfSearch or nprobe where nothing was tuned."""
    if family.kind is Kind.HNSW:
        return options.ef_search
    return options.nprobe or max(1, family.lists // 16)


def as_float32(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Contiguous float32 rows."""
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _checked(ann: Ann, vectors: NDArray[np.floating], options: BuildOptions) -> Ann:
    ann.mend()
    visits = default_visits(ann.family, options)
    recall = max(self_recall(ann, vectors, visits * harder) for harder in (1, _HARDER))
    if recall < SELF_RECALL:
        raise InvalidInputError(
            f"{ann.family.key} finds only {recall:.1%} of its own vectors again: use a larger M, ef_construction or "
            "code, or index_key Flat"
        )
    return ann


def _filled(
    key: str, vectors: NDArray[np.floating], leaders: NDArray[np.int64], family: Family, options: BuildOptions
) -> Any:  # noqa: ANN401
    index = made(key, vectors.shape[1])
    _prepare(index, options)
    if not index.is_trained:
        index.train(_sample(vectors, leaders, family))
    _add(index, vectors, leaders)
    return index


def _prepare(index: Any, options: BuildOptions) -> None:  # noqa: ANN401
    inner = inner_of(index)
    if hasattr(inner, "hnsw"):
        inner.hnsw.efConstruction = options.ef_construction
    if isinstance(inner, _faiss.IndexIVF):
        inner.cp.min_points_per_centroid = 1  # few points are this module's own concern, not a warning on stderr
    if hasattr(inner, "pq"):
        inner.pq.cp.min_points_per_centroid = 1
    if hasattr(inner, "do_polysemous_training"):
        inner.do_polysemous_training = False  # minutes for a kind of search that is not done here


def _sample(vectors: NDArray[np.floating], leaders: NDArray[np.int64], family: Family) -> NDArray[np.float32]:
    rows = min(train_rows(family), len(leaders))
    places = np.unique(np.linspace(0, len(leaders) - 1, rows, dtype=np.int64))
    return as_float32(vectors[leaders[places]])


def _add(index: Any, vectors: NDArray[np.floating], leaders: NDArray[np.int64]) -> None:  # noqa: ANN401
    for start in range(0, len(leaders), ADD_ROWS):
        index.add(as_float32(vectors[leaders[start : start + ADD_ROWS]]))


def _compressed(graph: Any, family: Family, vectors: NDArray[np.floating], leaders: NDArray[np.int64]) -> Any:  # noqa: ANN401
    """The same graph over compressed vectors: links chosen by exact distances lead better than by rounded ones."""
    index = made(family.key, vectors.shape[1])
    storage = _faiss.downcast_index(index.storage)
    if not storage.is_trained:
        storage.train(_sample(vectors, leaders, family))
    _add(storage, vectors, leaders)
    index.hnsw, index.ntotal, index.is_trained = graph.hnsw, graph.ntotal, True
    return index
