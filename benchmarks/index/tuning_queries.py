"""Does an index that is tuned with parts of its documents keep its promise to real queries?

    python benchmarks/index/tuning_queries.py COLLECTION [--index-key IVF256,SQ8] [--target-recall 0.95]

COLLECTION is a folder in BEIR's habits. Its documents are encoded once and indexed four times, tuned with half of the
queries, with titles and spans of documents, with perturbed rows, and with rows themselves, which the index never does
by itself. Each line: the effort chosen, the recall that the tuning measured, and the recall that the other half of the
queries gets.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from twinbert import Document, TwinEncoder
from twinbert.index import AnnOptions, BuildOptions, Index, IndexSchema, Record
from twinbert.retrieval import read_documents, read_queries
from twinbert.retrieval.payload import record_of
from twinbert.retrieval.tuning_queries import QuerySample

Vectors = NDArray[np.float32]


def main() -> None:
    """Print a line for each kind of queries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--index-key", default="IVF256,SQ8")
    parser.add_argument("--target-recall", type=float, default=0.95)
    parser.add_argument("--target-k", type=int, default=10)
    arguments = parser.parse_args()
    encoder = TwinEncoder.from_pretrained(arguments.model, threads=2)
    documents = list(read_documents([arguments.collection / "corpus.jsonl"]))
    queries = encoder.encode_queries([query.text for query in read_queries(arguments.collection / "queries.jsonl")])
    records, vectors = encoded(encoder, documents)
    options = BuildOptions(
        index_key=arguments.index_key, target_recall=arguments.target_recall, target_k=arguments.target_k
    )
    print(f"{len(vectors):,} vectors, {len(queries):,} queries, {options.index_key}, k {options.target_k}")
    spread = vectors[:: max(1, len(vectors) // 500)]
    kinds = {
        "half of the queries": queries[::2],
        "titles and spans": spans(encoder, records),
        "perturbed rows": None,
        "rows": spread,
    }
    for name, asked in kinds.items():
        print(f"{name:22}{measured(records, vectors, options, asked, queries[1::2])}", flush=True)


def encoded(encoder: TwinEncoder, documents: list[Document]) -> tuple[list[Record], Vectors]:
    """Records of distinct texts, and their vectors."""
    distinct = {document.full_text: document for document in documents}
    records = [record_of(document, encoder.space) for document in distinct.values()]
    return records, encoder.encode_documents(list(distinct))


def spans(encoder: TwinEncoder, records: list[Record]) -> Vectors:
    """What a build would be tuned with."""
    sample = QuerySample()
    for record in records:
        sample.take(record.payload)
    return encoder.encode_queries(sample.queries())


def measured(
    records: list[Record], vectors: Vectors, options: BuildOptions, asked: Vectors | None, held_out: Vectors
) -> str:
    """Build, tune with ``asked``, and ask what is held out."""
    with tempfile.TemporaryDirectory() as folder:
        index = Index.create(Path(folder, "i"), IndexSchema("benchmark", vectors.shape[1], ""), options)
        with index:
            with index.writer(replace=True) as writer:
                writer.put(records)
                writer.put_vectors([record.vector_key for record in records], vectors)
                if asked is not None:
                    writer.tune_with(asked)
                writer.commit()
            tuning = index.info().tuning
            found = index.search(held_out, options.target_k).rows
            right = index.search(held_out, options.target_k, AnnOptions(exact=True)).rows
    recalls = [len(np.intersect1d(one, other)) / len(other) for one, other in zip(found, right, strict=True)]
    if tuning is None:
        return "exact search"
    half = 1.96 * float(np.std(recalls)) / len(recalls) ** 0.5
    point = tuning.chosen
    return (
        f"effort {point.visits:4} x{point.refine:<2}  tuned {point.recall:.3f} ({point.low:.3f} to {point.high:.3f})  "
        f"held out {np.mean(recalls):.3f} ± {half:.3f}"
    )


if __name__ == "__main__":
    main()
