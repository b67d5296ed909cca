"""What an evaluation found: figures, their JSON, and the rows of a table; drawing it is the caller's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .latency import Latency


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the search, judged.

    name: ``cosine exact``, ``cosine ANN``, and of the rerank's parts those that have weight, each with those before it:
        ``+ segments``, ``+ lexical``, ``+ residual``.
    measures: measure → mean over the judged queries. per_query: query id → {measure → value}.
    """

    name: str
    measures: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How well a retriever answers judged queries, and where the loss comes from.

    ann: ``k-recall@k`` → mean over the judged queries: the approximate index against exact search, no judgement
        involved.
    stages: what each stage's ranking is worth; the last one is what is served. From ``cosine exact`` to
        ``cosine ANN`` is the index's loss, from there on the gain of each part of the rerank.
    latency: milliseconds a single query, text to hits, as served.
    queries, judged_queries: queries given, and those of them that the qrels judge: these were asked.
    unasked_queries: judged queries that were not among the queries; no part of any mean.
    missing_documents: documents relevant to a query asked that the index does not hold; they count as not found.
    depth, ks: candidates reranked, and the cutoffs of ``ann``.
    """

    ann: Mapping[str, float]
    stages: tuple[Stage, ...]
    latency: Latency
    queries: int
    judged_queries: int
    unasked_queries: int
    missing_documents: int
    documents: int
    index_key: str
    depth: int
    ks: tuple[int, ...]

    @property
    def judged(self) -> Mapping[str, float]:
        """Measure → mean, of what is served."""
        return self.stages[-1].measures

    def to_dict(self) -> dict[str, Any]:
        """The figures in plain types, ready for JSON; the keys are kept stable."""
        return {
            "ann": dict(self.ann),
            "judged": dict(self.judged),
            "stages": [{"stage": stage.name, "measures": dict(stage.measures)} for stage in self.stages],
            "latency_ms": {"p50": self.latency.p50, "p95": self.latency.p95, "p99": self.latency.p99},
            "queries": self.queries,
            "judged_queries": self.judged_queries,
            "unasked_queries": self.unasked_queries,
            "missing_documents": self.missing_documents,
            "documents": self.documents,
            "index_key": self.index_key,
            "depth": self.depth,
            "ks": list(self.ks),
        }

    def rows(self) -> list[tuple[str, ...]]:
        """A table of the stages: a header, then a row each, values with three decimals."""
        header = ("stage", *self.judged)
        return [
            header,
            *((stage.name, *(f"{stage.measures[name]:.3f}" for name in self.judged)) for stage in self.stages),
        ]

    def notes(self) -> list[str]:
        """How the figures came about, a line each; warnings only where there is something to warn of."""
        latency = self.latency
        lines = [
            f"{self.judged_queries} of {self.queries} queries judged, {self.documents} documents, {self.index_key}",
            f"latency of {latency.queries} single queries after {latency.warmup} to warm up, k {latency.k}, "
            f"depth {latency.depth}, one at a time, {latency.cores:.1f} cores busy",
        ]
        if self.unasked_queries:
            lines.append(f"{self.unasked_queries} judged queries are not among the queries and count nowhere")
        if self.missing_documents:
            lines.append(f"{self.missing_documents} relevant documents are not in the index and count as not found")
        return lines
