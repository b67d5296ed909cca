"""Judged pairs of a BEIR-layout folder, cut into five folds by query."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from twinbert.retrieval import read_documents, read_queries

FOLDS = 5


@dataclass(frozen=True)
class JudgedPair:
    """A query beside a document that somebody judged: ``label`` 1 for relevant, 0 for not."""

    query_id: str
    document_id: str
    query: str
    document: str
    label: int

    @property
    def fold(self) -> int:
        """The fold in which the pair is held out: all pairs of a query are in one."""
        return fold_of(self.query_id)


def fold_of(query_id: str) -> int:
    """A query's fold, by the hash of its id."""
    return int.from_bytes(blake2b(query_id.encode(), digest_size=8).digest(), "big") % FOLDS


def judged_pairs(folder: Path, splits: tuple[str, ...]) -> list[JudgedPair]:
    """Every judged pair of some splits, in the order of the qrels; a document's title stands before its text."""
    documents = {document.id: document.full_text for document in read_documents([folder / "corpus.jsonl"])}
    queries = {query.id: query.text for query in read_queries(folder / "queries.jsonl")}
    rows = (row for split in splits for row in read_qrels_table(folder, split))
    return [
        JudgedPair(
            row["query-id"],
            row["corpus-id"],
            queries[row["query-id"]],
            documents[row["corpus-id"]],
            int(int(row["score"]) > 0),
        )
        for row in rows
    ]


def read_qrels_table(folder: Path, split: str) -> list[dict[str, str]]:
    """The rows of ``qrels/SPLIT.tsv``: ``query-id``, ``corpus-id`` and ``score``."""
    with (folder / "qrels" / f"{split}.tsv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
