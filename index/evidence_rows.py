"""Evidence as rows of the store's table ``evidence``, beside the vectors in ``fresh``, until a segment has both.

A row says which ``EvidenceSchema`` it is of: versions that only undoing needs may have evidence of an older kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .evidence import COUNT, TERM, Entries, EvidenceSchema

Row = tuple[bytes, bytes, bytes, bytes]
"""Mark of the schema, terms, parts, hash of them all."""
_FORGET = "DELETE FROM evidence WHERE vector NOT IN (SELECT vector FROM fresh)"
_ALL = """
SELECT vector, coalesce(mark, x''), coalesce(terms, x''), coalesce(parts, x''), coalesce(hash, x'') FROM evidence
"""
_BETWEEN = _ALL + " WHERE vector BETWEEN ? AND ? ORDER BY vector"
_SINCE = _ALL + " WHERE vector IN (SELECT vector FROM documents WHERE row > ?) ORDER BY vector"  # noqa: S608 - constants
_LACKING = """
SELECT count(*), min(documents.id) FROM documents JOIN fresh USING (vector) LEFT JOIN evidence USING (vector)
WHERE row > ? AND evidence.mark IS NOT ?
"""


def rows_of(entries: Entries | None, schema: EvidenceSchema | None) -> list[Row] | None:
    """Every entry as a row, but for the vector's number; None where there are none."""
    if entries is None or schema is None:
        return None
    mark = schema.mark
    return [(mark, terms, parts, _hash(mark, terms, parts)) for terms, parts in entries.rows()]


def forget_evidence(connection: apsw.Connection) -> None:
    """Forget the evidence of vectors that are not fresh any more: to be called wherever some were forgotten."""
    connection.execute(_FORGET)


def evidence_between(
    connection: apsw.Connection, first: int, last: int, schema: EvidenceSchema
) -> tuple[NDArray[np.int64], Entries]:
    """Numbers, ascending, and entries of fresh vectors from ``first`` to ``last`` that have evidence of this kind.

    Raises IndexDamagedError for a row that does not match its hash.
    """
    return _read(connection.execute(_BETWEEN, (first, last)), schema)


def evidence_since(
    connection: apsw.Connection, last_row: int, schema: EvidenceSchema
) -> tuple[NDArray[np.int64], Entries]:
    """The same for fresh vectors that documents after ``last_row`` use."""
    return _read(connection.execute(_SINCE, (last_row,)), schema)


def _read(found: apsw.Cursor, schema: EvidenceSchema) -> tuple[NDArray[np.int64], Entries]:
    numbers, entries = [], []
    for number, mark, terms, parts, digest in found:
        if _hash(mark, terms, parts) != digest:
            raise IndexDamagedError(f"evidence of fresh vector {number} is damaged: twinbert index rebuild mends it")
        if mark == schema.mark:
            numbers.append(number)
            entries.append((terms, parts))
    try:
        return np.array(numbers, dtype=np.int64), Entries.of_rows(entries, schema.part_width)
    except ValueError as error:
        raise IndexDamagedError("evidence of fresh vectors is damaged: twinbert index rebuild mends it") from error


def check_born(connection: apsw.Connection, last_row: int, schema: EvidenceSchema | None) -> None:
    """Raise InvalidInputError where a document after ``last_row`` has a fresh vector with evidence of another kind."""
    if schema is None:
        return
    count, example = connection.execute(_LACKING, (last_row, schema.mark)).get
    if count:
        raise not_of_this_kind(count, repr(example))


def not_of_this_kind(count: int, example: str) -> InvalidInputError:
    """What is raised where vectors have no evidence, or one that was made otherwise."""
    return InvalidInputError(
        f"{count} vectors, that of {example} among them, have evidence of another kind: hash its note into vector keys"
    )


def damaged(connection: apsw.Connection) -> list[int]:
    """Numbers of vectors whose evidence does not match its hash."""
    return [number for number, *values, digest in connection.execute(_ALL) if _hash(*values) != digest]


def lacking(connection: apsw.Connection, schema: EvidenceSchema) -> list[int]:
    """Numbers of fresh vectors without evidence of this kind."""
    query = "SELECT vector FROM fresh LEFT JOIN evidence USING (vector) WHERE mark IS NOT ?"
    return [number for (number,) in connection.execute(query, (schema.mark,))]


def insert(connection: apsw.Connection, numbered: Iterable[tuple[int, Row]]) -> None:
    """Add the evidence of fresh vectors, by their numbers."""
    connection.executemany("INSERT INTO evidence VALUES (?, ?, ?, ?, ?)", ((number, *row) for number, row in numbered))


def _hash(mark: bytes, terms: bytes, parts: bytes) -> bytes:
    if len(terms) % (np.dtype(TERM).itemsize + np.dtype(COUNT).itemsize):
        return b""
    digest = hashlib.blake2b(b"%b%d:%b" % (mark, len(terms), terms), digest_size=16)
    digest.update(parts)
    return digest.digest()
