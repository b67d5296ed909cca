"""Is a retrained starter better? Its cosine's nDCG@10 by exact search, and how close its vectors are to the teacher's.

    python benchmarks/starter/compare.py starter OUT --teacher IMPORTED --texts held_out.jsonl \
        --folders SCIFACT:dev CRANFIELD:test NFCORPUS:dev WIKIQA:dev

Models are named as ``--model`` takes them and encode in int8, as they serve; ``--texts`` holds pairs that neither was
trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from twinbert.encoders import TwinEncoder
from twinbert.eval import Qrels, Run, judge, parse_measures, read_qrels
from twinbert.retrieval import read_documents, read_queries

MEASURES = ("nDCG@10", "R@100")
KEPT = 100


def main() -> None:
    """Print a line for each model and collection."""
    arguments = _arguments()
    for model in arguments.models:
        encoder = TwinEncoder.from_pretrained(model, threads=1)
        for name, cosine in alignments(encoder, arguments):
            print(f"{model}\t{name}\tcosine to the teacher {cosine:.4f}", flush=True)
        for folder in arguments.folders:
            found = exact(encoder, folder)
            print(
                f"{model}\t{folder}\t" + "\t".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True
            )


def alignments(encoder: TwinEncoder, arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """The mean cosine to the teacher's vectors over texts of at most 20 words, and over longer ones."""
    if arguments.teacher is None:
        return
    teacher = TwinEncoder.from_pretrained(arguments.teacher, threads=1)
    pairs = [json.loads(line) for line in arguments.texts.open(encoding="utf-8")]
    texts = sorted({text for pair in pairs for text in (pair["query"], pair["document"])}, key=_is_long)
    for long, own in groupby(texts, key=_is_long):
        some = list(own)
        cosines = (encoder.encode_documents(some) * teacher.encode_documents(some)).sum(axis=1)
        yield f"{len(some)} {'longer' if long else 'short'} texts", float(cosines.mean())


def _is_long(text: str) -> bool:
    return len(text.split()) > 20


def exact(encoder: TwinEncoder, folder: str) -> dict[str, float]:
    """The measures of ``FOLDER:SPLIT`` by the cosine over all documents."""
    name, _, split = folder.rpartition(":")
    qrels = read_qrels(Path(name) / "qrels" / f"{split}.tsv")
    documents = list(read_documents([Path(name) / "corpus.jsonl"]))
    queries = [query for query in read_queries(Path(name) / "queries.jsonl") if query.id in qrels]
    against = encoder.encode_documents([document.full_text for document in documents])
    scores = encoder.encode_queries([query.text for query in queries]) @ against.T
    ids = [document.id for document in documents]
    run = Run({query.id: _best(ids, row) for query, row in zip(queries, scores, strict=True)})
    means = judge(run, Qrels({query.id: qrels[query.id] for query in queries}), parse_measures(MEASURES)).means
    return dict(means)


def _best(ids: list[str], scores: NDArray[np.float32]) -> dict[str, float]:
    top = np.argsort(-scores, kind="stable")[:KEPT]
    return {ids[place]: float(scores[place]) for place in top}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--teacher", type=Path, help="an imported model")
    parser.add_argument("--texts", type=Path, help="JSONL of query and document")
    parser.add_argument("--folders", nargs="+", default=[], metavar="FOLDER:SPLIT")
    return parser.parse_args()


if __name__ == "__main__":
    main()
