"""Files of query–document pairs, read row by row: JSON lines and TSV, plain or gzip, and Parquet.

Every row has the fields ``query`` and ``document``; whatever else it has is kept beside them.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Literal, NoReturn, cast

import msgspec

from ...errors import InvalidInputError, MissingExtraError

PairFormat = Literal["jsonl", "tsv", "parquet"]

SUFFIXES: dict[str, PairFormat] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
PARQUET_ROWS = 4_096
"""Rows of Parquet held at once."""
NUMBERS = ("label", "score")
"""Columns of TSV that are no text."""
FIELD_LIMIT = 1 << 24
"""Characters that one TSV field may have: an open quote is noticed before it has swallowed a large file."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """One pair. place: its line, or its row in Parquet, from 1. fields: all of them, ``query`` and ``document`` too."""

    place: int
    fields: dict[str, Any]

    @property
    def query(self) -> str:
        """What is asked."""
        return cast("str", self.fields["query"])

    @property
    def document(self) -> str:
        """What may answer it."""
        return cast("str", self.fields["document"])


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A query beside a document. label: how surely it matches, 0 to 1; judgements are 0 or 1."""

    query: str
    document: str
    label: float


def read_pair_rows(path: Path) -> Iterator[PairRow]:
    """Read pairs by the file's suffix: .jsonl, .ndjson or .tsv, each also with .gz, or .parquet.

    TSV has a header and quotes as Python's ``csv`` does; its values are strings but for label and score, numbers. Blank
    lines are skipped. Memory is bounded by the longest row, in Parquet by ``PARQUET_ROWS`` rows.

    Raises InvalidInputError naming file and line for whatever cannot be taken, MissingExtraError for Parquet without
    pyarrow. The suffix is looked at now, the rows when they are asked for.
    """
    readers: dict[PairFormat, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
        "jsonl": _json_rows,
        "tsv": _tsv_rows,
        "parquet": _parquet_rows,
    }
    return _checked(path, readers[_format(path)](path))


def read_judged_pairs(path: Path) -> list[JudgedPair]:
    """Read pairs with their ``label`` from JSON lines, TSV or Parquet; see ``read_pair_rows``.

    Raises InvalidInputError naming file and line for whatever cannot be taken.
    """
    return [JudgedPair(row.query, row.document, _label_of(row, path)) for row in read_pair_rows(path)]


def _label_of(row: PairRow, path: Path) -> float:
    label = row.fields.get("label")
    if not isinstance(label, (int, float)) or not 0 <= label <= 1:
        _refuse(path, row.place, f"label {label!r} is not a number from 0 to 1: judge every pair")
    return float(label)


def _format(path: Path) -> PairFormat:
    if not path.is_file():
        raise InvalidInputError("no such file: check the path", path=path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    chosen = SUFFIXES.get("".join(suffixes[:-1][-1:] if packed else suffixes[-1:]))
    if chosen is None or (packed and chosen == "parquet"):
        raise InvalidInputError(
            "the suffix does not tell the format: use .jsonl or .tsv, each also with .gz, or .parquet", path=path
        )
    return chosen


def _checked(path: Path, rows: Iterator[tuple[int, dict[str, Any]]]) -> Iterator[PairRow]:
    for place, fields in rows:
        for name in ("query", "document"):
            if not isinstance(fields.get(name), str):
                _refuse(
                    path, place, f"the field {name!r} is missing or no string: every pair has a query and a document"
                )
        yield PairRow(place, fields)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        _refuse(path, number, f"not UTF-8 (byte 0x{error.object[error.start]:02x}): save the file as UTF-8")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _refuse(path, number + 1, f"the gzip data is cut or damaged ({error}): make or fetch the file anew")
    except OSError as error:
        _refuse(path, number + 1, f"cannot be read ({error.strerror or error}): check the file and its permissions")


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _json_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in _lines(path):
        if line.strip():
            try:
                yield number, decoder.decode(line)
            except (msgspec.MsgspecError, RecursionError) as error:
                _refuse(path, number, f"not a JSON object ({error}): write one whole pair on each line")


def _tsv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = _tsv_fields(path)
    line, header = next(rows, (1, []))
    if not {"query", "document"} <= set(header) or len(set(header)) < len(header):
        _refuse(path, line, "the first line must name the columns, each once, query and document among them")
    for line, values in rows:
        if len(values) != len(header):
            _refuse(
                path, line, f"{len(values)} fields where the header has {len(header)}: quote a field that holds a tab"
            )
        fields: dict[str, Any] = dict(zip(header, values, strict=True))
        yield line, fields | {name: _number(path, line, name, fields[name]) for name in NUMBERS if name in fields}


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        _refuse(path, line, f"{name} {text!r} is not a number: write one, such as 0 or 1")
    return number


def _tsv_fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in _lines(path)), delimiter="\t", strict=True)
    while True:
        line = reader.line_num + 1
        before = csv.field_size_limit(FIELD_LIMIT)
        try:
            values = next(reader, None)
        except csv.Error as error:
            _refuse(path, line, f"not a valid row ({error}): check the quotes; a quote inside a field is written twice")
        finally:
            csv.field_size_limit(before)
        if values is None:
            return
        if values:
            yield line, values


def _parquet_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise MissingExtraError("Parquet", "parquet") from None
    place = 0
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for fields in batch.to_pylist():
                    place += 1
                    yield place, fields
    except (OSError, arrow.ArrowException) as error:
        _refuse(path, place + 1, f"not Parquet that can be read ({' '.join(str(error).split())}): make the file anew")


def _refuse(path: Path, line: int, message: str) -> NoReturn:
    raise InvalidInputError(message, path=path, line=line)
