"""How long one query takes, end to end, measured as a user would wait for it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..retrieval import Query, Retriever, SearchOptions


@dataclass(frozen=True, slots=True)
class Latency:
    """Wall-clock times of single queries in milliseconds, and how they were taken.

    p50, p95, p99: percentiles, interpolated linearly between the two nearest times.
    queries: how many were timed, each once, one after another, in one thread of this process.
    warmup: queries answered before the first was timed.
    k, depth: hits asked for and candidates reranked.
    cores: processor seconds spent per second waited, of all threads together; about 1 when one core did the work.
    """

    p50: float
    p95: float
    p99: float
    queries: int
    warmup: int
    k: int
    depth: int
    cores: float


@dataclass(frozen=True, slots=True)
class Timing:
    """What is timed: ``k`` hits of ``options``, after ``warmup`` queries, over at most ``limit`` queries."""

    k: int
    options: SearchOptions
    warmup: int
    limit: int


def time_queries(retriever: Retriever, queries: Sequence[Query], timing: Timing) -> Latency:
    """Time ``retriever.search``, text to hits, one query after another.

    queries: at least one; evenly spaced ones are taken where there are more than ``timing.limit``.
    """
    chosen = [queries[place] for place in _spread(len(queries), timing.limit)]
    for place in range(timing.warmup):
        retriever.search(chosen[place % len(chosen)].text, timing.k, timing.options)
    waited, worked = time.perf_counter(), time.process_time()
    times = [_milliseconds(retriever, query, timing) for query in chosen]
    waited, worked = time.perf_counter() - waited, time.process_time() - worked
    p50, p95, p99 = (float(value) for value in np.percentile(times, [50, 95, 99]))
    return Latency(
        p50, p95, p99, len(times), timing.warmup, timing.k, timing.options.depth or timing.k, worked / waited
    )


def _milliseconds(retriever: Retriever, query: Query, timing: Timing) -> float:
    start = time.perf_counter()
    retriever.search(query.text, timing.k, timing.options)
    return (time.perf_counter() - start) * 1_000


def _spread(count: int, limit: int) -> list[int]:
    if count <= limit:
        return list(range(count))
    return [place * count // limit for place in range(limit)]
