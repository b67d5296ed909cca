"""Files of rows: JSON lines, CSV and TSV, plain or gzip, read as rows that know their place.

A file is UTF-8, with or without a byte order mark. Every fault names the physical line where it stands.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, NoReturn, cast

from ..errors import InvalidInputError
from .checks import described

Format = Literal["jsonl", "csv", "tsv"]

SUFFIXES: dict[str, Format] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}

FIELD_LIMIT = 1 << 24
"""Characters that one CSV field may have: an open quote is noticed before it has swallowed a large file."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file that rows are read from, or standard input."""

    name: str
    format: Format
    packed: bool = False
    stdin: bool = False

    @classmethod
    def of(cls, path: Path | str, format: Format | None = None) -> Source:  # noqa: A002  the word users know
        """Tell by its suffixes how a file is to be read; ``"-"`` is standard input, JSON lines unless told otherwise.

        Raises InvalidInputError when there is no such file or the suffix says nothing and ``format`` is None.
        """
        if str(path) == "-":
            return cls("<stdin>", format or "jsonl", stdin=True)
        if not Path(path).exists():
            raise InvalidInputError("no such file: check the path", path=path)
        if Path(path).is_dir():
            raise InvalidInputError("this is a folder: name the files in it", path=path)
        suffixes = [suffix.lower() for suffix in Path(path).suffixes]
        packed = suffixes[-1:] == [".gz"]
        suffix = "".join(suffixes[:-1][-1:] if packed else suffixes[-1:])
        chosen = format or SUFFIXES.get(suffix)
        if chosen is None:
            raise InvalidInputError(
                "the suffix does not tell the format: use .jsonl, .csv or .tsv, each also with .gz, or name the format",
                path=path,
            )
        return cls(str(path), chosen, packed)

    def open(self) -> AbstractContextManager[BinaryIO]:
        """Open for reading bytes, unpacked; standard input is left open at the end."""
        if self.stdin:
            return nullcontext(sys.stdin.buffer)
        return cast("BinaryIO", gzip.open(self.name, "rb")) if self.packed else Path(self.name).open("rb")

    def refuse(self, line: int, message: str) -> NoReturn:
        """Raise InvalidInputError at a line of this source."""
        raise InvalidInputError(message, path=self.name, line=line)


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the line it begins on, from 1, and its fields by name."""

    line: int
    fields: dict[str, object]


def read_rows(source: Source) -> Iterator[Row]:
    """Read a source row by row; memory is bounded by the longest row.

    Raises InvalidInputError, naming the line, for a file that cannot be read or unpacked, text that is not UTF-8, a
    NUL byte, a line that is no JSON object, a CSV header without a row's names or a row that does not fit it.
    """
    readers: dict[Format, Callable[[Source], Iterator[Row]]] = {
        "jsonl": _json_rows,
        "csv": lambda source: _csv_rows(source, ","),
        "tsv": lambda source: _csv_rows(source, "\t"),
    }
    return readers[source.format](source)


def read_lines(source: Source) -> Iterator[str]:
    r"""The lines of a source, whatever its format, each with its ``\n``, the only character that ends one.

    Raises InvalidInputError as ``read_rows`` does for what is no readable UTF-8 text.
    """
    number = 0
    try:
        with source.open() as stream:
            for number, raw in enumerate(stream, start=1):
                yield _decoded(source, number, raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        source.refuse(number + 1, f"the gzip data is cut or damaged ({error}): make or fetch the file anew")
    except OSError as error:
        source.refuse(number + 1, f"cannot be read ({error.strerror or error}): check the file and its permissions")


def _decoded(source: Source, number: int, raw: bytes) -> str:
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        source.refuse(
            number, f"not UTF-8 (byte 0x{raw[error.start]:02x} at byte {error.start + 1}): save the file as UTF-8"
        )
    if "\0" in line:
        source.refuse(number, "holds a NUL byte: save the file as UTF-8 text")
    return line.removeprefix("\ufeff") if number == 1 else line


def _json_rows(source: Source) -> Iterator[Row]:
    for number, line in enumerate(read_lines(source), start=1):
        if line.strip():
            yield Row(number, _json_object(source, number, line))


def _json_object(source: Source, number: int, line: str) -> dict[str, object]:
    try:
        value = json.loads(line.rstrip("\r\n"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        source.refuse(number, f"not valid JSON at column {error.colno} ({error.msg}): one whole object a line")
    except RecursionError:
        source.refuse(number, "nested too deep for JSON: flatten it")
    except ValueError as error:
        source.refuse(number, f"not valid JSON ({error}): one whole object a line")
    if not isinstance(value, dict):
        source.refuse(number, f"a JSON object is expected, not {described(value)}: one object a line")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _csv_rows(source: Source, delimiter: str) -> Iterator[Row]:
    rows = _csv_fields(source, delimiter)
    line, header = next(rows, (1, []))
    _check_header(source, line, header)
    for line, values in rows:
        if len(values) != len(header):
            source.refuse(
                line, f"{len(values)} fields where the header has {len(header)}: quote a field that holds the delimiter"
            )
        yield Row(line, dict(zip(header, values, strict=True)))


def _csv_fields(source: Source, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Give each row that is not blank with the line it begins on; quoted fields may run over many lines."""
    reader = csv.reader(read_lines(source), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        before = csv.field_size_limit(FIELD_LIMIT)
        try:
            values = next(reader, None)
        except csv.Error as error:
            source.refuse(line, f"not a valid row ({error}): check the quotes; a quote inside a field is written twice")
        finally:
            csv.field_size_limit(before)
        if values is None:
            return
        if values:
            yield line, values


def _check_header(source: Source, line: int, header: list[str]) -> None:
    if not header:
        source.refuse(line, "no header: the first line must name the columns")
    if not all(name.strip() for name in header):
        source.refuse(line, "the header has a column without a name: name every column")
    for name in header:
        if header.count(name) > 1:
            source.refuse(line, f"the header names the column {name!r} twice: rename one")
