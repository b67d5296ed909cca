"""Evaluates a retriever on judged queries: ANN recall, every stage's measures, latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np

from ..encoders import Weights
from ..errors import InvalidInputError
from ..index import Candidates
from ..retrieval import Query, Retriever, SearchOptions
from .ann import k_recall
from .latency import Timing, time_queries
from .measures import Measure, judge, parse_measures
from .qrels import Qrels
from .report import Evaluation, Stage
from .runs import Run

PARTS = {"segments": "+ segments", "lexical": "+ lexical", "head": "+ residual"}
"""Weights of the rerank in the order in which their stages are told."""
QUERY_ROWS = 256
"""Queries compared with exact search at once: bounds memory to ``QUERY_ROWS * k * k`` bytes."""


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What to measure.

    ks: cutoffs of ANN recall; the smallest is also the k of the timed queries.
    measures: in ir_measures' syntax; when empty, ``R@k`` for every k, ``nDCG`` and ``RR`` at the smallest.
    depth: candidates that are reranked; None for twice the largest cutoff of all, so that reranking can move ``R@k``.
    ef_search: width of the HNSW search; None for the index's own.
    candidates, weights: of what is served, as in ``SearchOptions``.
    warmup: queries answered before any is timed. timed: the most that are timed.

    Raises InvalidInputError for a value out of range; a depth that is too small is refused by ``evaluate``.
    """

    ks: tuple[int, ...] = (10, 100)
    measures: tuple[str, ...] = ()
    depth: int | None = None
    ef_search: int | None = None
    candidates: Literal["auto", "dense", "lexical", "both"] = "auto"
    weights: Weights | None = None
    warmup: int = 10
    timed: int = 1_000

    def __post_init__(self) -> None:
        if not self.ks or any(type(k) is not int or k < 1 for k in self.ks):
            raise InvalidInputError(f"ks must be whole numbers of at least 1, one or more, not {list(self.ks)}")
        object.__setattr__(self, "ks", tuple(sorted(set(self.ks))))
        if self.warmup < 0 or self.timed < 1:
            raise InvalidInputError("at least 0 queries must warm up and at least 1 be timed")
        derived = (*(f"R@{k}" for k in self.ks), f"nDCG@{self.ks[0]}", f"RR@{self.ks[0]}")
        object.__setattr__(self, "measures", tuple(self.measures) or derived)


@dataclass(frozen=True, slots=True)
class _Plan:
    """An evaluation checked and ready: ``k`` hits a query, never more than there are documents, nor ``depth``."""

    asked: list[Query]
    qrels: Qrels
    measures: tuple[Measure, ...]
    k: int
    depth: int
    search: SearchOptions


def evaluate(
    retriever: Retriever, queries: Sequence[Query], qrels: Qrels, options: EvaluateOptions | None = None
) -> Evaluation:
    """Measure a retriever on the queries that the qrels judge; the others are not asked.

    A judged query without results counts 0 in every mean.

    Raises InvalidInputError for an empty index, queries of which none is judged, unknown measures, and a depth that is
    not above the largest cutoff; MissingExtraError without ir_measures.
    """
    options = options or EvaluateOptions()
    plan = _plan(retriever, queries, qrels, options)
    timing = Timing(min(options.ks[0], plan.k), plan.search, options.warmup, options.timed)
    return Evaluation(
        ann=_ann(retriever, plan, options),
        stages=_stages(retriever, plan),
        latency=time_queries(retriever, plan.asked, timing),
        queries=len(queries),
        judged_queries=len(plan.asked),
        unasked_queries=len(qrels) - len(plan.asked),
        missing_documents=_missing(retriever, plan.qrels),
        documents=len(retriever),
        index_key=retriever.index.info().index_key,
        depth=plan.depth,
        ks=options.ks,
    )


def _plan(retriever: Retriever, queries: Sequence[Query], qrels: Qrels, options: EvaluateOptions) -> _Plan:
    measures = parse_measures(options.measures)
    largest = max([*options.ks, *(measure.cutoff for measure in measures if measure.cutoff)])
    depth = _depth(options.depth, largest)
    asked = [query for query in queries if query.id in qrels]
    if not asked:
        raise InvalidInputError(
            f"none of {len(queries)} queries (such as {_example(queries)}) is among the {len(qrels)} of the qrels "
            f"(such as {next(iter(qrels), None)!r}): name the qrels of these queries"
        )
    documents = len(retriever)
    if not documents:
        raise InvalidInputError("the index holds no documents: there is nothing to evaluate")
    search = SearchOptions(
        depth=min(depth, max(documents, 1)),
        ef_search=options.ef_search,
        candidates=options.candidates,
        weights=options.weights,
    )
    judged = Qrels({query.id: qrels[query.id] for query in asked})
    return _Plan(asked, judged, measures, min(largest, documents), depth, search)


def _depth(asked: int | None, largest: int) -> int:
    if asked is not None and asked <= largest:
        raise InvalidInputError(
            f"depth {asked} is not above the largest k {largest}, so reranking could not move R@{largest}: "
            f"use more than {largest}, or leave it out for {2 * largest}"
        )
    return asked or 2 * largest


def _example(queries: Sequence[Query]) -> str:
    return repr(queries[0].id) if queries else "none"


def _ann(retriever: Retriever, plan: _Plan, options: EvaluateOptions) -> dict[str, float]:
    """Mean ``k-recall@k``; the index is asked anew at every k, as a search for k would ask it."""
    recalls: dict[int, list[float]] = {k: [] for k in options.ks}
    for start in range(0, len(plan.asked), QUERY_ROWS):
        texts = [query.text for query in plan.asked[start : start + QUERY_ROWS]]
        vectors = retriever.encoder.encode_queries(texts)
        exact = retriever.candidates(vectors, min(options.ks[-1], plan.k), SearchOptions(exact=True))
        for k in options.ks:
            best = Candidates(exact.rows[:, :k], exact.scores[:, :k])
            found = retriever.candidates(vectors, best.rows.shape[1], SearchOptions(ef_search=options.ef_search))
            recalls[k] += k_recall(best, found).tolist()
    return {f"{k}-recall@{k}": float(np.mean(values)) for k, values in recalls.items()}


def _stages(retriever: Retriever, plan: _Plan) -> tuple[Stage, ...]:
    searches = {
        "cosine exact": SearchOptions(rerank=False, exact=True),
        "cosine ANN": SearchOptions(rerank=False, ef_search=plan.search.ef_search),
        **_rerank_stages(retriever, plan.search),
    }
    return tuple(_stage(retriever, plan, name, search) for name, search in searches.items())


def _rerank_stages(retriever: Retriever, served: SearchOptions) -> dict[str, SearchOptions]:
    """One search for each part that has weight, with those before it; the last is what is served."""
    weights = retriever.weights if served.weights is None else served.weights
    so_far = replace(weights, **dict.fromkeys(PARTS, 0.0)) if weights.cosine else weights
    searches = {}
    for part, name in PARTS.items():
        if getattr(weights, part):
            so_far = replace(so_far, **{part: getattr(weights, part)})
            searches[name] = replace(served, weights=so_far)
    return searches


def _stage(retriever: Retriever, plan: _Plan, name: str, search: SearchOptions) -> Stage:
    rankings = retriever.search_many(plan.asked, plan.k, search, payloads=False)
    judged = judge(Run.from_rankings(rankings), plan.qrels, plan.measures)
    return Stage(name, judged.means, judged.per_query)


def _missing(retriever: Retriever, qrels: Qrels) -> int:
    relevant = iter({name for row in qrels.values() for name, grade in row.items() if grade > 0})
    missing = 0
    while page := list(islice(relevant, 1_000)):
        missing += sum(found is None for found in retriever.index.get(page))
    return missing
