"""Runs: what a retriever answered to a set of queries, and TREC's file of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInputError
from ..retrieval import Ranking
from .files import Line, read_lines, write_lines
from .tables import frozen


@dataclass(frozen=True, slots=True, eq=False)
class Run(Mapping[str, Mapping[str, float]]):
    """Query id → {document id → score}, best first.

    The order is trec_eval's own, whatever order is handed in: score descending, then id descending.

    Raises InvalidInputError for an empty id and a score that is not finite.
    """

    scores: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        for query, row in self.scores.items():
            for document, score in row.items():
                if not math.isfinite(score):
                    raise InvalidInputError(f"the score of query {query!r}, document {document!r} is {score}")
        ordered = {query: {name: float(row[name]) for name in _ranked(row)} for query, row in self.scores.items()}
        object.__setattr__(self, "scores", frozen(ordered))

    @classmethod
    def from_rankings(cls, rankings: Iterable[Ranking]) -> Run:
        """The run of what a retriever served.

        Raises InvalidInputError for a query answered twice, and for a ranking that is not in trec_eval's order:
        every tool would judge another order than was served.
        """
        scores: dict[str, dict[str, float]] = {}
        for ranking in rankings:
            if ranking.query_id in scores:
                raise InvalidInputError(f"query {ranking.query_id!r} is answered twice: give every query its own id")
            row = {hit.id: hit.score for hit in ranking.hits}
            if [hit.id for hit in ranking.hits] != _ranked(row):
                raise InvalidInputError(
                    f"query {ranking.query_id!r}: hits are not in order (score, then id, both descending): sort them"
                )
            scores[ranking.query_id] = row
        return cls(scores)

    def __getitem__(self, query_id: str) -> Mapping[str, float]:
        return self.scores[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.scores)

    def __len__(self) -> int:
        return len(self.scores)


def read_run(path: Path | str) -> Run:
    """Read a TREC run, ``query Q0 document rank score tag`` a line; ``.gz`` is unpacked.

    The score decides the order; rank and tag are ignored, as trec_eval does.

    Raises InvalidInputError naming file and line for a row without six columns, a score that is not finite and a
    document given twice for one query.
    """
    scores: dict[str, dict[str, float]] = {}
    for line in read_lines(path):
        fields = line.text.split()
        if len(fields) != 6:
            line.refuse(f"a TREC run has `query Q0 document rank score tag` a line, not {line.text!r}")
        query, _, document, _, score, _ = fields
        row = scores.setdefault(query, {})
        if document in row:
            line.refuse(f"document {document!r} was given for query {query!r} already: keep one")
        row[document] = _score(line, score)
    return Run(scores)


def write_run(path: Path | str, run: Run, tag: str = "twinbert") -> None:
    """Write a TREC run, best first; packed when the name ends in ``.gz``. A query without answers leaves no line.

    Raises InvalidInputError as ``run_lines`` does, before anything is written, or when the file cannot be written.
    """
    write_lines(path, list(run_lines(run, tag)))


def run_lines(run: Run, tag: str = "twinbert") -> Iterator[str]:
    """The lines of a TREC run, without line ends; ranks count from 1, scores are written so that they read back equal.

    Raises InvalidInputError for an id or a tag that the format cannot hold: columns end at white space.
    """
    for query, row in run.items():
        for rank, (document, score) in enumerate(row.items(), start=1):
            yield f"{_column(query)} Q0 {_column(document)} {rank} {score!r} {_column(tag)}"


def _ranked(row: Mapping[str, float]) -> list[str]:
    return sorted(row, key=lambda name: (row[name], name), reverse=True)


def _column(text: str) -> str:
    if text.split() != [text] or text.startswith("\ufeff"):
        raise InvalidInputError(f"a TREC run cannot hold {text!r} (white space ends a column): use the jsonl format")
    return text


def _score(line: Line, text: str) -> float:
    try:
        score = float(text)
    except ValueError:
        line.refuse(f"the score of a TREC run is a number, not {text!r}")
    if not math.isfinite(score):
        line.refuse(f"the score of a TREC run is a finite number, not {text!r}")
    return score
