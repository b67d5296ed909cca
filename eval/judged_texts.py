"""Judgements beside the texts that they are about: a BEIR folder read as pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInputError
from ..retrieval import read_documents, read_queries
from .qrels import read_qrels


@dataclass(frozen=True, slots=True)
class JudgedText:
    """A query beside a document, both with id and text (a document's title before it), and the grade it was given."""

    query_id: str
    document_id: str
    query: str
    document: str
    grade: int


def read_judged_texts(folder: Path, split: str) -> Iterator[JudgedText]:
    """Read ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/SPLIT.tsv``, plain or .gz; pairs in the order of the qrels.

    Only the texts that were judged are held in memory.

    Raises InvalidInputError naming file and line for whatever cannot be taken, and the qrels for a query or document
    that the folder does not have.
    """
    path = _one_of(folder / "qrels", f"{split}.tsv")
    qrels = read_qrels(path)
    queries = {query.id: query.text for query in read_queries(_one_of(folder, "queries.jsonl"))}
    wanted = {document_id for row in qrels.values() for document_id in row}
    documents = {
        document.id: document.full_text
        for document in read_documents([_one_of(folder, "corpus.jsonl")])
        if document.id in wanted
    }
    for query_id, row in qrels.items():
        for document_id, grade in row.items():
            query = _text(queries, "query", query_id, path)
            yield JudgedText(query_id, document_id, query, _text(documents, "document", document_id, path), grade)


def _one_of(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InvalidInputError(f"no {name} here: name a folder in BEIR's layout, and a split that it has", path=folder)


def _text(texts: Mapping[str, str], kind: str, identifier: str, path: Path) -> str:
    if identifier not in texts:
        raise InvalidInputError(
            f"{kind} {identifier!r} is judged but not in the folder: take the judgement out", path=path
        )
    return texts[identifier]
