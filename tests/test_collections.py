"""The starter on a real collection with human judgements; skipped where the collections are not at hand."""

from pathlib import Path

import pytest
import twinbert
from twinbert import BuildOptions, Retriever, TwinEncoder
from twinbert.eval import EvaluateOptions, evaluate, read_qrels
from twinbert.retrieval import read_documents, read_queries

DATA = Path(twinbert.__file__).resolve().parent.parent / "shared" / "data" / "scifact_tiny"


@pytest.mark.skipif(not DATA.is_dir(), reason=f"no judged collection at {DATA}")
def test_scifact_tiny_end_to_end(tmp_path: Path, starter: TwinEncoder) -> None:
    documents = read_documents([DATA / "corpus.jsonl"])
    with Retriever.build(tmp_path / "tiny.index", documents, starter, BuildOptions(index_key="HNSW32")) as retriever:
        queries, qrels = read_queries(DATA / "queries.jsonl"), read_qrels(DATA / "qrels" / "test.tsv")
        found = evaluate(retriever, queries, qrels, EvaluateOptions(ks=(10,), depth=100))
    exact, ann, _, served = (stage.measures["nDCG@10"] for stage in found.stages)
    assert found.judged_queries == 60
    assert found.ann["10-recall@10"] >= 0.98
    assert exact >= 0.7
    assert served >= ann + 0.02
