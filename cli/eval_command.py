"""``twinbert eval``: how good are an index's answers, and where quality goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Optional

import typer

from .options import AsJson, IndexPath, ModelName
from .output import note, print_json, print_table
from .search_options import Candidates, EfSearch, Kind, WeightsText
from .weights import parse_weights

if TYPE_CHECKING:
    from ..eval import Evaluation


def evaluate_index(
    index: IndexPath,
    queries: Annotated[str, typer.Option(metavar="FILE", help="JSONL of _id and text.", show_default=False)],
    qrels: Annotated[str, typer.Option(metavar="FILE", help="BEIR TSV with a header, or TREC.", show_default=False)],
    k: Annotated[
        list[int] | None, typer.Option("-k", min=1, help="Cutoffs; may be repeated. [default: 10, 100]")
    ] = None,
    measures: Annotated[
        Optional[list[str]],  # noqa: UP045 - read at run time
        typer.Option(
            "-m",
            "--measure",
            help="In ir_measures' syntax; may be repeated. [default: R@k, nDCG and RR at the smallest k]",
        ),
    ] = None,
    depth: Annotated[
        Optional[int],  # noqa: UP045 - read at run time
        typer.Option(min=1, help="Candidates to rerank; by default twice the largest cutoff."),
    ] = None,
    ef_search: EfSearch = None,
    candidates: Candidates = Kind.AUTO,
    weights: WeightsText = None,
    model: ModelName = None,
    as_json: AsJson = False,
) -> None:
    """Measure ANN recall against exact search, judged measures before and after the rerank, and latency.

    Example: twinbert eval docs.index --queries queries.jsonl --qrels qrels/test.tsv
    """
    from ..eval import EvaluateOptions, evaluate, read_qrels
    from ..retrieval import Retriever, read_queries

    asked, judged = read_queries(queries), read_qrels(qrels)
    with Retriever.open(index, model) as retriever:
        options = EvaluateOptions(
            ks=tuple(k or (10, 100)),
            measures=tuple(measures or ()),
            depth=depth,
            ef_search=ef_search,
            candidates=candidates.value,
            weights=parse_weights(weights, retriever.weights),
        )
        found = evaluate(retriever, asked, judged, options)
    if as_json:
        print_json(found.to_dict())
    else:
        print_evaluation(found)


def print_evaluation(found: Evaluation) -> None:
    """Print the stages, the ANN's recall and the latency as tables, notes on stderr."""
    print_table(found.rows(), title="judged measures, by stage")
    print_table([("ANN against exact search", "mean"), *((name, f"{value:.4f}") for name, value in found.ann.items())])
    latency = found.latency
    print_table(
        [("latency of a query", "ms"), *((name, f"{getattr(latency, name):.2f}") for name in ("p50", "p95", "p99"))]
    )
    for line in found.notes():
        note(line)
