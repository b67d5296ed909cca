"""Relevance judgements: what the right answers are, read from BEIR's or TREC's files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInputError
from .files import Line, read_lines
from .tables import frozen

BEIR_HEADER = ("query-id", "corpus-id", "score")
MAX_GRADE = 1_000_000
"""trec_eval sums gains in C: near 2**31 its nDCG silently becomes 0. No real grade comes near either number."""

_GRADE = re.compile(r"[+-]?[0-9]+")

Judgement = tuple[str, str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Qrels(Mapping[str, Mapping[str, int]]):
    """Query id → {document id → grade}; above 0 is relevant, 0 and below is judged not to be.

    Raises InvalidInputError for an empty id and a grade that is no whole number within ±``MAX_GRADE``.
    """

    grades: Mapping[str, Mapping[str, int]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "grades", frozen(self.grades))
        for query, row in self.grades.items():
            for document, grade in row.items():
                if type(grade) is not int or abs(grade) > MAX_GRADE:
                    raise InvalidInputError(
                        f"grade {grade!r} of query {query!r}, document {document!r}: "
                        f"write a whole number within ±{MAX_GRADE}"
                    )

    def __getitem__(self, query_id: str) -> Mapping[str, int]:
        return self.grades[query_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self.grades)

    def __len__(self) -> int:
        return len(self.grades)


def read_qrels(path: Path | str) -> Qrels:
    """Read judgements, told apart by the first line: BEIR's TSV has a header, TREC's columns have none.

    BEIR: ``query-id<TAB>corpus-id<TAB>score`` under exactly that header. TREC: ``query 0 document grade``.
    A name that ends in ``.gz`` is unpacked. Negative grades are kept.

    Raises InvalidInputError naming file and line for a row that does not fit the format, a grade that is no whole
    number and a document judged twice for one query; and for a file without any judgement.
    """
    grades: dict[str, dict[str, int]] = {}
    first_seen: dict[tuple[str, str], int] = {}
    for line, (query, document, grade) in _judgements(path):
        before = first_seen.setdefault((query, document), line.number)
        if before != line.number:
            line.refuse(f"document {document!r} was judged for query {query!r} on line {before} already: keep one")
        grades.setdefault(query, {})[document] = grade
    if not grades:
        raise InvalidInputError("holds no judgement: name a qrels file", path=path)
    return Qrels(grades)


def _judgements(path: Path | str) -> Iterator[tuple[Line, Judgement]]:
    lines = read_lines(path)
    first = next(lines, None)
    if first is None:
        return
    parse: Callable[[Line], Judgement] = _beir
    if tuple(first.text.split("\t")) != BEIR_HEADER:
        parse = _trec
        _check_no_header(first)
        yield first, parse(first)
    for line in lines:
        yield line, parse(line)


def _check_no_header(line: Line) -> None:
    """Refuse what was meant to be BEIR's file: three columns, or a header that is spelt another way."""
    fields = line.text.split("\t")
    if len(fields) == len(BEIR_HEADER):
        line.refuse("three columns are BEIR qrels, whose first line must be query-id<TAB>corpus-id<TAB>score: add it")


def _beir(line: Line) -> Judgement:
    fields = line.text.split("\t")
    if len(fields) != 3 or not all(fields[:2]):
        line.refuse(f"BEIR qrels (by the header) have query-id<TAB>corpus-id<TAB>score a line, not {line.text!r}")
    query, document, grade = fields
    return query, document, _grade(line, grade, "BEIR")


def _trec(line: Line) -> Judgement:
    fields = line.text.split()
    if len(fields) != 4:
        line.refuse(f"TREC qrels (no BEIR header) have `query 0 document grade` a line, not {line.text!r}")
    query, _, document, grade = fields
    return query, document, _grade(line, grade, "TREC")


def _grade(line: Line, text: str, format_name: str) -> int:
    if not _GRADE.fullmatch(text) or len(text) > 9 or abs(int(text)) > MAX_GRADE:
        line.refuse(f"the grade of a {format_name} judgement is a whole number within ±{MAX_GRADE}, not {text!r}")
    return int(text)
