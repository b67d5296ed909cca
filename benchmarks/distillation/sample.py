"""Make a judged set of a collection that has positive judgements alone: negatives are sampled, and called so.

    python benchmarks/distillation/sample.py ../shared/data/nfcorpus_stripped SAMPLED --splits train dev --queries 200

For each of the drawn queries: up to ``--each`` judged documents, as many unjudged ones from the top 100 of BM25 (hard,
and now and then a relevant one that nobody judged), and as many drawn from the whole corpus. SAMPLED is a BEIR-layout
folder that ``grid.py`` and ``teacher.py`` take. Needs ``bm25s``.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bm25 import bm25_scores
from folds import read_qrels_table
from twinbert.retrieval import read_documents, read_queries

TOP = 100


def main() -> None:
    """Write the sampled folder."""
    arguments = _arguments()
    arguments.out.mkdir(parents=True)
    for name in ("corpus.jsonl", "queries.jsonl"):
        shutil.copyfile(arguments.folder / name, arguments.out / name)
    (arguments.out / "qrels").mkdir()
    lines = ["query-id\tcorpus-id\tscore", *sampled(arguments)]
    (arguments.out / "qrels" / "sampled.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines) - 1} pairs")


def sampled(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines of the sampled qrels."""
    judged: dict[str, set[str]] = {}
    for split in arguments.splits:
        for row in read_qrels_table(arguments.folder, split):
            judged.setdefault(row["query-id"], set()).add(row["corpus-id"])
    documents = list(read_documents([arguments.folder / "corpus.jsonl"]))
    draw = random.Random(0)
    texts = {query.id: query.text for query in read_queries(arguments.folder / "queries.jsonl")}
    queries = draw.sample(sorted(judged), arguments.queries)
    scores = bm25_scores([document.full_text for document in documents], [texts[query] for query in queries])
    ids = [document.id for document in documents]
    for query, row in zip(queries, scores, strict=True):
        top = [ids[place] for place in np.argsort(-row, kind="stable")[:TOP] if row[place] > 0]
        for document in _some(draw, sorted(judged[query]), arguments.each):
            yield f"{query}\t{document}\t1"
        hard = _some(draw, [document for document in top if document not in judged[query]], arguments.each)
        free = _some(draw, sorted(set(ids) - judged[query] - set(hard)), arguments.each)
        for document in (*hard, *free):
            yield f"{query}\t{document}\t0"


def _some(draw: random.Random, of: Sequence[str], count: int) -> list[str]:
    return draw.sample(of, min(count, len(of)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path, help="new folder")
    parser.add_argument("--splits", nargs="+", default=["train", "dev"])
    parser.add_argument("--queries", type=int, default=200, help="queries that are drawn")
    parser.add_argument("--each", type=int, default=4, help="documents of each kind a query")
    return parser.parse_args()


if __name__ == "__main__":
    main()
