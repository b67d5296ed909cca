"""Texts that the search effort of an index is tuned with: real queries where there are any, else parts of documents."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..encoders import TwinEncoder
from ..errors import InvalidInputError
from ..index import BuildOptions, Choice, Listing, Record, Writer
from .corpus import read_queries
from .formats import Source, read_lines
from .payload import decoded

MOST = 500
"""Queries that an index is tuned with."""
SPAN_WORDS = (3, 12)
LONGEST = 64
"""Characters of a part of a document: of a text without spaces, what people would ask for."""


class QuerySample:
    """Stands in for queries: titles and short spans of up to 500 documents, drawn as they pass.

    Every document is as likely to be drawn as another, and the same documents in the same order give the same queries:
    a reservoir (Vitter, ACM TOMS 11(1), 1985, algorithm R) with a fixed seed. Memory holds the queries alone.
    """

    def __init__(self) -> None:
        self._draw = random.Random(0)  # noqa: S311 - a sample, no secret
        self._texts: list[str] = []
        self._seen = 0

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on, and draw from them."""
        for record in records:
            self.take(record.payload)
            yield record

    def take(self, payload: str) -> None:
        """Consider one document, as the index stores it."""
        self._seen += 1
        if len(self._texts) < MOST:
            self._texts.append(self._part_of(payload))
        elif (place := self._draw.randrange(self._seen)) < MOST:
            self._texts[place] = self._part_of(payload)

    def queries(self) -> list[str]:
        """What was drawn, without what was blank."""
        return [text for text in self._texts if text]

    def _part_of(self, payload: str) -> str:
        stored = decoded(payload)
        title, words = stored.title.split(), stored.text.split()
        if title and (not words or self._draw.random() < 0.5):
            return " ".join(title[: SPAN_WORDS[1]])[:LONGEST]
        length = self._draw.randint(*SPAN_WORDS)
        start = self._draw.randrange(max(1, len(words) - length + 1))
        return " ".join(words[start : start + length])[:LONGEST]


def sampled_queries(path: Path | str) -> list[str]:
    """Stand-ins for queries from the documents that an index stores."""
    sample = QuerySample()
    with Listing(path) as present:
        for page in present.pages():
            for stored in page:
                sample.take(stored.payload)
    return sample.queries()


def read_tuning_queries(path: Path | str) -> list[str]:
    """Queries from a file as ``read_queries`` takes them, or a text file (``.txt``, ``.txt.gz``) of one query a line.

    Raises InvalidInputError for what cannot be read, and for a file without queries.
    """
    if Path(path).name.lower().endswith((".txt", ".txt.gz")):
        texts = [line.strip() for line in read_lines(Source.of(path, "jsonl")) if line.strip()]
    else:
        texts = [query.text for query in read_queries(path)]
    if not texts:
        raise InvalidInputError("no queries to tune with: name a file that holds some", path=path)
    return texts


def is_tuned(choice: Choice, options: BuildOptions) -> bool:
    """Whether an index so chosen searches by approximation, to a target."""
    return choice.index_key != "Flat" and options.target_recall is not None


def tune_with(writer: Writer, encoder: TwinEncoder, queries: Sequence[str]) -> None:
    """Hand the index vectors of queries, at most 500 of them, evenly spread; of none it makes its own stand-ins."""
    if queries:
        step = -(-len(queries) // MOST)
        writer.tune_with(encoder.encode_queries(list(queries[::step])))
