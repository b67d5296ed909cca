"""Corpora, queries and ids from files in BEIR's habits: ``_id``, ``title``, ``text``, every other field as metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DuplicateIdError, InvalidInputError
from .checks import check_id, described
from .formats import Format, Row, Source, read_lines, read_rows
from .records import Document, Query

SHOWN_FIELDS = 8
"""Fields of a row that a message lists."""


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """How a corpus names its fields.

    id_field, text_fields: must be there in every row; several text fields are joined with one space, blank ones
        left out.
    title_field: may be absent or null; None for a corpus without titles.
    format: of every file, whatever its suffix; None to go by the suffix.

    Raises InvalidInputError when no text field is named or one field is named twice.
    """

    id_field: str = "_id"
    text_fields: tuple[str, ...] = ("text",)
    title_field: str | None = "title"
    format: Format | None = None

    def __post_init__(self) -> None:
        if not _is_filled_tuple(self.text_fields):
            raise InvalidInputError("text_fields must name at least one field, as a tuple")
        if len(self.used) < 2 + len(self.text_fields):
            raise InvalidInputError("one field is named twice among id, text and title: name each once")

    @property
    def used(self) -> frozenset[str | None]:
        """The fields that are not metadata."""
        return frozenset({self.id_field, *self.text_fields, self.title_field})


def _is_filled_tuple(value: object) -> bool:
    return isinstance(value, tuple) and bool(value)


class _Places:
    """Where each id stood first: what a corpus costs in memory, whatever its texts."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._first: dict[str, tuple[int, int]] = {}

    def begin(self, source: Source) -> None:
        self._sources.append(source)

    def note(self, identifier: str, line: int) -> None:
        here = (len(self._sources) - 1, line)
        first = self._first.setdefault(identifier, here)
        if first != here:
            raise DuplicateIdError(
                f"id {identifier!r} stands already at {self._sources[first[0]].name}:{first[1]}: every id once",
                path=self._sources[-1].name,
                line=line,
            )


def read_documents(paths: Sequence[Path | str], options: CorpusOptions | None = None) -> Iterator[Document]:
    """Read corpora one after the other: JSON lines, CSV, TSV, gzip of each by suffix, ``"-"`` for standard input.

    The paths are looked at now, the rows when they are asked for; memory holds the ids and one row. CSV and TSV
    have a header and quote as Python's ``csv`` does; their metadata are strings. Blank lines are skipped.

    Raises InvalidInputError naming file and line for whatever cannot be taken, DuplicateIdError for an id that
    comes twice.
    """
    if isinstance(paths, (str, Path)):
        raise InvalidInputError(f"paths must be a list of paths, not one: use [{str(paths)!r}]")
    chosen = options or CorpusOptions()
    return _documents([Source.of(path, chosen.format) for path in paths], chosen)


def read_queries(path: Path | str) -> list[Query]:
    """Read queries (``_id``, ``text``; other fields are not looked at) from JSON lines, or CSV or TSV with a header.

    Raises InvalidInputError naming file and line for whatever cannot be taken, DuplicateIdError for an id that
    comes twice.
    """
    source, places = Source.of(path), _Places()
    places.begin(source)
    queries = []
    for row in read_rows(source):
        try:
            query = Query(check_id(_needed(row, "_id"), "_id"), _string(row, "text"))
        except InvalidInputError as error:
            source.refuse(row.line, str(error))
        places.note(query.id, row.line)
        queries.append(query)
    return queries


def read_ids(path: Path | str) -> list[str]:
    r"""Read ids, one a line ended by ``\n`` or ``\r\n``, exactly as they stand; ``"-"`` for standard input.

    The file is UTF-8, with or without a byte order mark, gzip by suffix. Blank lines are skipped.

    Raises InvalidInputError naming file and line for whatever cannot be taken, DuplicateIdError for an id that
    comes twice.
    """
    source, places = Source.of(path, "jsonl"), _Places()
    places.begin(source)
    ids = []
    for number, line in enumerate(read_lines(source), start=1):
        identifier = line.removesuffix("\n").removesuffix("\r")
        if identifier.strip():
            places.note(identifier, number)
            ids.append(identifier)
    return ids


def _documents(sources: list[Source], options: CorpusOptions) -> Iterator[Document]:
    places = _Places()
    for source in sources:
        places.begin(source)
        for row in read_rows(source):
            try:
                document = _document(row, options)
            except InvalidInputError as error:
                source.refuse(row.line, str(error))
            places.note(document.id, row.line)
            yield document


def _document(row: Row, options: CorpusOptions) -> Document:
    parts = [_string(row, name) for name in options.text_fields]
    return Document(
        id=check_id(_needed(row, options.id_field), options.id_field),
        text=parts[0] if len(parts) == 1 else " ".join(part for part in parts if part.strip()),
        title=_title(row, options.title_field),
        metadata={name: value for name, value in row.fields.items() if name not in options.used},
    )


def _needed(row: Row, name: str) -> object:
    if name not in row.fields:
        found = ", ".join(repr(field) for field in sorted(row.fields)[:SHOWN_FIELDS]) or "none"
        raise InvalidInputError(f"the field {name!r} is missing (there: {found}): add it, or name the field to use")
    return row.fields[name]


def _string(row: Row, name: str) -> str:
    value = _needed(row, name)
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} must be a string, not {described(value)}")
    return value


def _title(row: Row, name: str | None) -> str:
    if name is None or row.fields.get(name) is None:
        return ""
    return _string(row, name)
