"""Tunes the effort of an ANN index to a recall target, against exact search, with queries and never with its own rows.

An operating point is an effort (efSearch or nprobe, and how many candidates are scored again exactly) with the recall
and latency that were measured there. Points that another one beats in both are left out: a Pareto front.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ann import SPARE, Ann, Selector
from .exact import rounding, search_exact
from .keys import Family, Kind

QUERIES_MOST = 500
"""Queries that are tuned with; the interval of a recall near 1 is then about one point wide."""
_VISITS_MOST = 4_096
_REFINES = (1, 2, 4, 8, 16)
_ENOUGH = 0.999
"""No point is looked for beyond this recall, or where three in a row gain less than a tenth of what is lacking."""
_DEVIATIONS = 1.96
_PROXY_COSINE = 0.8
"""Cosine of a perturbed row to the row, about that of a query to a document that answers it."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One effort and what it gave: mean recall with its 95 % interval over queries, median milliseconds a query.

    visits: efSearch or nprobe. refine: candidates scored again exactly for each one wanted.
    """

    visits: int
    refine: int
    recall: float
    low: float
    high: float
    p50_ms: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the search effort of a segment was chosen.

    k: candidates asked for. target: share of the true ``k`` nearest wanted. queries: how many were asked; proxy:
    whether they were perturbed rows for want of queries. met: whether the lower end of the chosen point's interval
    reaches the target. points: the Pareto front, cheapest first.
    """

    k: int
    target: float
    queries: int
    proxy: bool
    met: bool
    chosen: OperatingPoint
    points: tuple[OperatingPoint, ...]


def tune(
    ann: Ann,
    vectors: NDArray[np.floating],
    alive: NDArray[np.bool_],
    queries: NDArray[np.float32],
    *,
    k: int,
    target: float,
    proxy: bool,
) -> Tuning:
    """Find the cheapest effort whose recall reaches ``target``, or the best there is.

    vectors: ``(n, dim)`` unit rows of the segment. alive: ``(n,)``, False for those that no document uses.
    queries: ``(q, dim)`` float32 unit rows, of which the first 500 are asked, one at a time in one thread.
    """
    nodes = ann.twins.alive(alive)
    trial = _Trial(ann, vectors, Selector(nodes), min(k, int(nodes.sum())))
    asked = np.ascontiguousarray(queries[:QUERIES_MOST])
    floors = trial.floors(asked, alive)
    points = [point for refine in _refines(ann.family) for point in _climb(trial, asked, floors, refine, target)]
    enough = [point for point in points if point.low >= target]
    chosen = min(enough, key=_cost) if enough else max(points, key=lambda point: (point.recall, -point.p50_ms))
    return Tuning(trial.k, target, len(asked), proxy, bool(enough), chosen, tuple(_front(points)))


def perturbed(vectors: NDArray[np.floating], rows: int) -> NDArray[np.float32]:
    """Stand-ins for queries: up to ``rows`` of ``vectors``, each turned until its cosine to itself is 0.8."""
    own = vectors[np.unique(np.linspace(0, len(vectors) - 1, min(rows, len(vectors)), dtype=np.int64))]
    own = own.astype(np.float64)
    noise = np.random.default_rng(0).standard_normal(own.shape)
    noise -= (noise * own).sum(axis=1, keepdims=True) * own
    noise /= np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    turned = _PROXY_COSINE * own + (1 - _PROXY_COSINE**2) ** 0.5 * noise
    units: NDArray[np.float32] = (turned / np.linalg.norm(turned, axis=1, keepdims=True)).astype(np.float32)
    return units


@dataclass(frozen=True, slots=True)
class _Trial:
    """What is asked: an index, its vectors, the nodes that count, how many candidates."""

    ann: Ann
    vectors: NDArray[np.floating]
    selector: Selector
    k: int

    def floors(self, queries: NDArray[np.float32], alive: NDArray[np.bool_]) -> NDArray[np.float64]:
        """What a vector must score to be among the true ``k`` nearest of each query: ``(q,)``."""
        living = None if alive.all() else alive
        found = search_exact(queries, self.vectors, self.k, living)
        floors = [self._kth_distinct(query, positions) for query, positions in zip(queries, found, strict=True)]
        return np.array(floors) - rounding(self.vectors.shape[1])

    def answer(self, query: NDArray[np.float32], visits: int, refine: int) -> NDArray[np.float64]:
        """Exact scores of the ``k`` best nodes that the index finds, in no order."""
        nodes, _ = self.ann.search(query[None], self.k * refine + SPARE, visits, self.selector)
        products = self._products(query, self.ann.twins.leaders_of(nodes[0]))
        return products if len(products) <= self.k else np.partition(products, -self.k)[-self.k :]

    def _kth_distinct(self, query: NDArray[np.float32], positions: NDArray[np.int64]) -> float:
        """Equal vectors are one node, found or lost together: among ``k`` positions there may be fewer nodes."""
        scores = np.sort(self._products(query, positions))[::-1]
        return float(scores[min(self.k, len(scores)) - 1])

    def _products(self, query: NDArray[np.float32], positions: NDArray[np.int64]) -> NDArray[np.float64]:
        products: NDArray[np.float64] = self.vectors[positions].astype(np.float64) @ query.astype(np.float64)
        return products


def _climb(
    trial: _Trial, queries: NDArray[np.float32], floors: NDArray[np.float64], refine: int, target: float
) -> Iterator[OperatingPoint]:
    """Points of growing effort, until more of it gives nothing worth having."""
    recalls: list[float] = []
    for visits in _ladder(trial, refine):
        point = _measured(trial, queries, floors, visits, refine)
        yield point
        recalls.append(point.recall)
        if point.recall >= max(_ENOUGH, target) or (point.low >= target and point.recall >= (1 + target) / 2):
            return
        if len(recalls) > 3 and recalls[-1] - recalls[-4] < 0.1 * (1 - recalls[-1]):
            return


def _measured(
    trial: _Trial, queries: NDArray[np.float32], floors: NDArray[np.float64], visits: int, refine: int
) -> OperatingPoint:
    recalls, seconds = np.empty(len(queries)), np.empty(len(queries))
    for place, query in enumerate(queries):
        started = time.perf_counter()
        scores = trial.answer(query, visits, refine)
        seconds[place] = time.perf_counter() - started
        recalls[place] = min(1.0, np.count_nonzero(scores >= floors[place]) / trial.k)
    mean = float(recalls.mean())
    half = _DEVIATIONS * float(recalls.std()) / len(queries) ** 0.5
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return OperatingPoint(visits, refine, mean, low, high, float(np.median(seconds)) * 1e3)


def _ladder(trial: _Trial, refine: int) -> Iterator[int]:
    graph = trial.ann.family.kind is Kind.HNSW
    most = max(_VISITS_MOST, trial.k * refine) if graph else trial.ann.family.lists
    visits = trial.k * refine if graph else 1
    while visits < most:
        yield visits
        yield from (half for half in [visits * 3 // 2] if visits < half < most)
        visits *= 2
    yield most


def _refines(family: Family) -> tuple[int, ...]:
    """How many candidates are worth scoring again: one where codes are exact, many where they are coarse."""
    if family.is_exact:
        return _REFINES[:1]
    return _REFINES[:2] if family.is_fine else _REFINES[1:]


def _front(points: list[OperatingPoint]) -> Iterator[OperatingPoint]:
    best = -1.0
    for point in sorted(points, key=_cost):
        if point.recall > best:
            best = point.recall
            yield point


def _cost(point: OperatingPoint) -> tuple[float, int, int]:
    return point.p50_ms, point.visits, point.refine
