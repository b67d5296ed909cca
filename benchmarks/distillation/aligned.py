"""Align a small query tower to a model, and set its rankings beside the model's own on the same indexes.

    twinbert model import all-MiniLM-L6-v2/ minilm
    python benchmarks/distillation/aligned.py minilm OUT --layers 0 5 scifact:dev nfcorpus:dev --folder ../shared/data

It learns from the queries of every split but the judged one, and from titles and beginnings of the documents. Indexes
are Flat and ranked by the cosine, so nothing but the query tower differs. OUT keeps model and indexes; a run that was
stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from twinbert import BuildOptions, Query, Retriever, SearchOptions
from twinbert.encoders import ModelFolder
from twinbert.encoders.training.align import AlignOptions, align_query_tower
from twinbert.encoders.training.recipe import Schedule
from twinbert.eval import Qrels, Run, judge, parse_measures, read_qrels
from twinbert.retrieval import read_documents, read_queries

SCHEDULE = Schedule(
    epochs=3, learning_rate=5e-4, table_learning_rate=5e-4, precision="bf16", held_out=1_000, checkpoint_steps=500
)
SHORT = 24
"""Words of a document's text that stand for a query."""
SEARCH = SearchOptions(exact=True, rerank=False)


def main() -> None:
    """Align, search, print a table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    collections = [Collection(arguments.folder, name) for name in arguments.collections]
    small = arguments.out / "aligned"
    if not small.exists():
        texts = list(dict.fromkeys(text for collection in collections for text in collection.texts()))
        options = AlignOptions(layers=tuple(arguments.layers))
        work = arguments.out / "work"
        align_query_tower(ModelFolder(arguments.model), texts, small, options, SCHEDULE, work=work, resume=True)
    print("| collection | nDCG@10 | aligned | kept |\n|---|---|---|---|")
    for collection in collections:
        whole, aligned = (collection.ndcg(arguments.out, arguments.model, model) for model in (arguments.model, small))
        print(f"| {collection.name} | {whole:.3f} | {aligned:.3f} | {aligned / whole:.1%} |", flush=True)
    print(json.dumps({"layers": arguments.layers, "seconds": _seconds(small)}))


class Collection:
    """A BEIR-layout folder with the judged queries of one split, named ``NAME:SPLIT``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        stem, _, split = name.partition(":")
        self.root = folder / stem
        self.qrels: Qrels = read_qrels(self.root / "qrels" / f"{split}.tsv")
        self.queries: Sequence[Query] = read_queries(self.root / "queries.jsonl")

    def texts(self) -> Iterator[str]:
        """What to learn from: queries that are not judged here, titles, and the beginnings of texts."""
        yield from (query.text for query in self.queries if query.id not in self.qrels)
        for document in read_documents([self.root / "corpus.jsonl"]):
            words = document.text.split()
            if document.title:
                yield document.title
            if words:
                yield " ".join(words[:SHORT])

    def ndcg(self, out: Path, base: Path, model: Path) -> float:
        """nDCG@10 by exact search over documents that ``base`` encoded."""
        index = out / f"{self.root.name}.index"
        if not index.exists():
            documents = read_documents([self.root / "corpus.jsonl"])
            Retriever.build(index, documents, base, BuildOptions(index_key="Flat")).close()
        asked = [query for query in self.queries if query.id in self.qrels]
        with Retriever.open(index, model) as retriever:
            run = Run.from_rankings(retriever.search_many(asked, 10, SEARCH, payloads=False))
        return judge(run, self.qrels, parse_measures(["nDCG@10"])).means["nDCG@10"]


def _seconds(model: Path) -> float:
    figures: dict[str, float] = json.loads((model / "training.json").read_text(encoding="utf-8"))
    return figures["seconds"]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model with its fp32 weights")
    parser.add_argument("out", type=Path)
    parser.add_argument("collections", nargs="+", metavar="NAME:SPLIT")
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"), help="where the collections lie")
    parser.add_argument("--layers", type=int, nargs="+", default=[0, 5], help="layers of the query tower that are kept")
    return parser.parse_args()


if __name__ == "__main__":
    main()
