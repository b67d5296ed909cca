"""Collections in BEIR's layout, and pairs that a teacher scored, as tuning reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..encoders.training.pair_files import read_pair_rows
from ..encoders.training.quantisation.texts import read_texts
from ..encoders.training.tune_data import Domain, LabelledPair
from ..errors import InvalidInputError
from ..eval import read_qrels
from ..retrieval import read_documents, read_queries
from ..retrieval.formats import Source, read_rows
from ..retrieval.records import full_text

LEARNED, REPORTED = "train", "dev"
"""The splits that are read; no other ever is."""


def read_domain(folder: Path, threshold: int = 1, scores: Path | None = None) -> Domain:
    """Read ``corpus.jsonl``, ``queries.jsonl``, ``qrels/train.tsv`` and, to report only, ``qrels/dev.tsv``.

    Each plain or .gz. threshold: grade from which a document is relevant. scores: pairs with a teacher's score, as
    ``twinbert train score`` writes them; those of the train split's questions get it beside their judgement, and
    their documents join the collection.

    Raises InvalidInputError naming the file, and the line where there is one, for whatever cannot be taken.
    """
    documents = {document.id: document.full_text for document in read_documents([found_file(folder, "corpus.jsonl")])}
    queries = {query.id: query.text for query in read_queries(found_file(folder, "queries.jsonl"))}
    places = (
        {name: place for place, name in enumerate(queries)},
        {name: place for place, name in enumerate(documents)},
    )
    learned = list(_pairs(found_file(folder / "qrels", f"{LEARNED}.tsv"), places, threshold))
    has_dev = any((folder / "qrels" / f"{REPORTED}.tsv{end}").is_file() for end in ("", ".gz"))
    reported = list(_pairs(found_file(folder / "qrels", f"{REPORTED}.tsv"), places, threshold)) if has_dev else []
    texts, asked = list(documents.values()), list(queries.values())
    if scores is not None:
        apart = {pair.query for pair in reported}
        learned = _scored(learned, read_scores(scores), asked, texts, apart)
    return Domain(folder.resolve().name, asked, texts, learned, reported)


def found_file(folder: Path, name: str) -> Path:
    """A file of a folder, plain or .gz; raises InvalidInputError where there is neither."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InvalidInputError(f"no {name} here: name a folder in BEIR's layout with a train split", path=folder)


def read_scores(path: Path) -> Iterator[tuple[str, str, float]]:
    """Queries and documents with a teacher's probability, from JSON lines, TSV or Parquet."""
    for row in read_pair_rows(path):
        score = row.fields.get("score")
        if not isinstance(score, (int, float)) or not 0 <= score <= 1:
            message = f"score {score!r} is not a number from 0 to 1: twinbert train score writes them"
            raise InvalidInputError(message, path=path, line=row.place)
        yield row.query, row.document, float(score)


def read_general(path: Path) -> list[str]:
    """General texts: the ``text`` (after the ``title``, if any) of JSON lines, or one text a line of another file.

    Raises InvalidInputError naming the file, and the line where there is one, for whatever cannot be taken.
    """
    if not {".jsonl", ".ndjson"} & {suffix.lower() for suffix in path.suffixes}:
        return read_texts(path)
    texts: list[str] = []
    for row in read_rows(Source.of(path)):
        title, text = row.fields.get("title") or "", row.fields.get("text")
        if not (isinstance(title, str) and isinstance(text, str)):
            raise InvalidInputError("text, and title where there is one, must be strings", path=path, line=row.line)
        if whole := full_text(title, text):
            texts.append(whole)
    return texts


def _pairs(path: Path, places: tuple[dict[str, int], dict[str, int]], threshold: int) -> Iterator[LabelledPair]:
    queries, documents = places
    for query, row in read_qrels(path).items():
        for document, grade in row.items():
            yield LabelledPair(
                _place(queries, "query", query, path),
                _place(documents, "document", document, path),
                label=float(grade >= threshold),
            )


def _place(places: Mapping[str, int], kind: str, name: str, path: Path) -> int:
    if name not in places:
        raise InvalidInputError(f"{kind} {name!r} is judged but not in the folder: take the judgement out", path=path)
    return places[name]


def _scored(
    judged: list[LabelledPair],
    scores: Iterator[tuple[str, str, float]],
    queries: list[str],
    documents: list[str],
    apart: set[int],
) -> list[LabelledPair]:
    """The judged pairs with their scores, and after them the scored pairs that nobody judged.

    queries, documents: texts that are not there yet are added. apart: questions that are not learned from.
    """
    asked, told = ({text: place for place, text in enumerate(texts)} for texts in (queries, documents))
    found: dict[tuple[int, int], float] = {}
    for query, document, score in scores:
        key = (_added(query, asked, queries), _added(document, told, documents))
        if key[0] not in apart:
            found[key] = score
    pairs = [
        LabelledPair(pair.query, pair.document, pair.label, found.pop((pair.query, pair.document), None))
        for pair in judged
    ]
    return pairs + [LabelledPair(query, document, score=score) for (query, document), score in found.items()]


def _added(text: str, places: dict[str, int], texts: list[str]) -> int:
    if text not in places:
        places[text] = len(texts)
        texts.append(text)
    return places[text]
