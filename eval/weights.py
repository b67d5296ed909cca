"""Fits what a candidate's score is made of (``Weights``) on judged queries, of one collection or of several.

Each part is raw, so a weight means the same for every query and every collection. "No change" is an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..encoders import Weights
from ..errors import InvalidInputError
from ..retrieval import Hit, Query, Ranking, Retriever, SearchOptions
from .qrels import Qrels

POOL = 200
"""Candidates of each kind that a query's best are drawn from."""
CUTOFF = 10
SEGMENTS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
LEXICAL = (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.06, 0.08)
HEAD = (0.0, 0.125, 0.25, 0.5, 1.0)
LEAST = 1e-4
"""A smaller gain is none."""


@dataclass(frozen=True, slots=True)
class JudgedPool:
    """One query's candidates: what their scores are made of, and how relevant they are.

    parts: ``(n, 4)`` float64: cosine, best segment's cosine less the document's own, BM25, head.
    gains: ``(n,)`` float64, grades above 0. ideal: the best DCG@10 that a ranking of all judged documents can have.
    unfamiliar: share of the query's words that the model does not know whole.
    """

    parts: NDArray[np.float64]
    gains: NDArray[np.float64]
    ideal: float
    unfamiliar: float

    def ndcg(self, weights: Weights) -> float:
        """nDCG@10 of the candidates in the order of the weighted sum, gains as graded."""
        if not self.ideal or not len(self.gains):
            return 0.0
        lexical = weights.lexical * (1 + weights.unfamiliar * self.unfamiliar)
        factors = (weights.cosine, weights.cosine * weights.segments, lexical, weights.head)
        order = np.argsort(-(self.parts @ np.array(factors)), kind="stable")[:CUTOFF]
        return _dcg(self.gains[order]) / self.ideal


@dataclass(frozen=True, slots=True)
class FittedWeights:
    """What a fit found: the weights, and nDCG@10 of each collection by them and by those there were before."""

    weights: Weights
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Mean over the collections."""
        return float(np.mean(self.after) - np.mean(self.before))


def judged_pool(retriever: Retriever, queries: Sequence[Query], qrels: Qrels) -> list[JudgedPool]:
    """The candidates of every judged query, by vector and, where the index keeps its words, by word."""
    asked = [query for query in queries if query.id in qrels]
    kind: Literal["both", "dense"] = "both" if retriever.index.info().lexical else "dense"
    options = SearchOptions(depth=POOL, candidates=kind, explain=True)
    rankings = retriever.search_many(asked, POOL, options, payloads=False)
    encoder = retriever.encoder
    return [
        _pool(ranking, qrels, encoder.unfamiliar(query.text)) for query, ranking in zip(asked, rankings, strict=True)
    ]


def mean_ndcg(pool: Sequence[JudgedPool], weights: Weights) -> float:
    """Mean nDCG@10 of a collection's queries."""
    return float(np.mean([query.ndcg(weights) for query in pool]))


def fit_weights(
    pools: Sequence[Sequence[JudgedPool]],
    base: Weights,
    *,
    unfamiliar: Sequence[float] | None = None,
    least_gain: float = 0.0,
) -> FittedWeights:
    """The weights by which the mean over collections of nDCG@10 is highest, one at a time until none gains.

    pools: one a collection. base: what there was before, and where the ascent begins; taken back where all of it gains
    no more than ``least_gain``. unfamiliar: what to try for it; None for what ``base`` has.

    Raises InvalidInputError where no query is judged.
    """
    if not pools or not all(pools):
        raise InvalidInputError("no judged query to fit weights on: name qrels of queries that the index answers")
    has_head = any(query.parts[:, 3].any() for pool in pools for query in pool)
    heads = HEAD if has_head else (0.0,)
    words = product(LEXICAL, unfamiliar or (base.unfamiliar,))
    steps = [
        [{"lexical": lexical, "unfamiliar": more} for lexical, more in words],
        [{"segments": segments} for segments in SEGMENTS],
        [{"head": head} for head in heads],
    ]
    before = _means(pools, base)
    best = base if has_head else replace(base, head=0.0)
    while (better := _ascended(pools, best, steps)) != best:
        best = better
    after = _means(pools, best)
    if np.mean(after) <= np.mean(before) + least_gain:
        return FittedWeights(base, before, before)
    return FittedWeights(best, before, after)


def _ascended(
    pools: Sequence[Sequence[JudgedPool]], weights: Weights, steps: Sequence[Sequence[Mapping[str, float]]]
) -> Weights:
    """One round: each step's best change while the others stay; words and their unfamiliar share go together."""
    best, most = weights, float(np.mean(_means(pools, weights)))
    for changes in steps:
        for change in changes:
            tried = replace(best, **change)
            found = float(np.mean(_means(pools, tried)))
            if found > most + LEAST:
                best, most = tried, found
    return best


def _means(pools: Sequence[Sequence[JudgedPool]], weights: Weights) -> tuple[float, ...]:
    return tuple(mean_ndcg(pool, weights) for pool in pools)


def _pool(ranking: Ranking, qrels: Qrels, unfamiliar: float) -> JudgedPool:
    grades = qrels[ranking.query_id]
    gains = np.array([max(grades.get(hit.id, 0), 0) for hit in ranking.hits], dtype=np.float64)
    parts = np.array([_parts(hit) for hit in ranking.hits], dtype=np.float64).reshape(-1, 4)
    ideal = np.array(sorted((max(grade, 0) for grade in grades.values()), reverse=True)[:CUTOFF], dtype=np.float64)
    return JudgedPool(parts, gains, _dcg(ideal), unfamiliar)


def _parts(hit: Hit) -> tuple[float, float, float, float]:
    told = hit.explanation
    if told is None:
        raise InvalidInputError("the search did not explain its scores: ask for it")
    segment = 0.0 if told.segment is None else told.segment.cosine - told.cosine
    return told.cosine, segment, told.lexical, told.head


def _dcg(gains: NDArray[np.float64]) -> float:
    return float((gains / np.log2(np.arange(2, len(gains) + 2))).sum())
