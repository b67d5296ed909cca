"""``twinbert search``: ask an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .options import IndexPath, ModelName
from .output import print_hits, print_json, print_line
from .search_options import (
    Candidates,
    Depth,
    EfSearch,
    Exact,
    Explain,
    Filter,
    Kind,
    Nprobe,
    Rerank,
    WeightsText,
)
from .usage import UsageError
from .weights import parse_weights

if TYPE_CHECKING:
    from ..retrieval import Explanation, Query, Ranking


class Format(str, Enum):
    """How rankings are printed."""

    TABLE = "table"
    JSONL = "jsonl"
    TREC = "trec"


def search(
    index: IndexPath,
    query: Annotated[Optional[list[str]], typer.Argument(metavar="[QUERY…]", help="Queries, quoted.")] = None,  # noqa: UP045
    queries: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option(metavar="FILE", help="JSONL of _id and text; - for standard input."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="Hits a query.")] = 10,
    depth: Depth = None,
    candidates: Candidates = Kind.AUTO,
    rerank: Rerank = True,
    weights: WeightsText = None,
    explain: Explain = False,
    exact: Exact = False,
    ef_search: EfSearch = None,
    nprobe: Nprobe = None,
    filters: Filter = None,
    model: ModelName = None,
    output: Annotated[
        Format, typer.Option("--format", help="table for people, jsonl or trec for programs.")
    ] = Format.TABLE,
) -> None:
    """Answer queries with their best documents.

    Filters know = != < <= > >=, in ("a", "b"), contains (arrays), starts with, is null, and, or, not and parentheses.

    Rare words, codes and names, and languages that the model does not know, are looked up as words too.

    Example: twinbert search docs.index "restart a failed service" -k 5 --filter 'lang = "en" and year >= 2020'
    """
    from ..retrieval import Query, Retriever, SearchOptions, read_queries

    if query and queries:
        raise UsageError("queries on the command line and in a file: give one or the other")
    asked = [Query(str(place), text) for place, text in enumerate(query or [], start=1)]
    asked += read_queries(queries) if queries else []
    if not asked:
        raise UsageError("no query: write one, or name a file of them with --queries")
    with Retriever.open(index, model) as retriever:
        options = SearchOptions(
            depth=depth,
            rerank=rerank,
            exact=exact,
            ef_search=ef_search,
            nprobe=nprobe,
            filter=filters,
            candidates=candidates.value,
            weights=parse_weights(weights, retriever.weights),
            explain=explain,
        )
        rankings = retriever.search_many(asked, k, options, payloads=output is not Format.TREC)
    _print(asked, rankings, output)


def _print(asked: Sequence[Query], rankings: Sequence[Ranking], output: Format) -> None:
    if output is Format.TREC:
        from ..eval import Run, run_lines

        for line in run_lines(Run.from_rankings(rankings), tag="twinbert"):
            print_line(line)
        return
    for query, ranking in zip(asked, rankings, strict=True):
        if output is Format.JSONL:
            print_json(as_object(query, ranking))
        else:
            print_hits(query.text, ranking.hits)


def as_object(query: Query, ranking: Ranking) -> dict[str, Any]:
    """One ranking as the JSON object of ``--format jsonl``; its keys are kept stable."""
    hits = [
        {
            "id": hit.id,
            "rank": hit.rank,
            "score": hit.score,
            "probability": hit.probability,
            "title": hit.title,
            "text": hit.text,
            "metadata": dict(hit.metadata),
            **({"explanation": _explanation(hit.explanation)} if hit.explanation else {}),
        }
        for hit in ranking.hits
    ]
    return {"query_id": query.id, "query": query.text, "hits": hits}


def _explanation(explanation: Explanation) -> dict[str, Any]:
    return {**asdict(explanation), "contributions": explanation.contributions}
