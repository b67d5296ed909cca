"""What one command hands in, kept in SQLite's temporary database on disk: nothing of the index is touched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apsw

from ..errors import DuplicateIdError, InvalidInputError
from .records import Record, check_id
from .seals import document_hash
from .spool import Spool

_STAGE = "INSERT INTO temp.staged (id, key, hash, payload) VALUES (?, ?, ?, ?)"
_TABLES = """
CREATE TEMP TABLE staged (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key BLOB, hash BLOB,
    payload TEXT) STRICT;
CREATE TEMP TABLE todo (n INTEGER PRIMARY KEY, staged INTEGER NOT NULL) STRICT;
"""
_PENDING = "FROM temp.staged WHERE key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {known} WHERE key = staged.key)"
_SPOOLED = " AND NOT EXISTS (SELECT 1 FROM temp.spooled WHERE key = staged.key)"

_Row = tuple[str, bytes | None, bytes | None, str | None]


class Staging:
    """The documents to put and the ids to delete (those without a key) of one command, an id at most once.

    again: vectors that only the segment holds count as missing. spool: has vectors that count as there.
    """

    def __init__(self, connection: apsw.Connection, spool: Spool | None, *, again: bool) -> None:
        self._connection, self._spool = connection, spool
        known = "vectors JOIN fresh USING (vector)" if again else "vectors"
        self._missing = _PENDING.format(known=known) + _SPOOLED * (spool is not None)
        connection.execute(_TABLES)

    def put(self, records: Iterable[Record]) -> None:
        """Stage all records or, at the first error, none of them."""
        with self._connection:
            self._stage(_rows(records))

    def delete(self, ids: Iterable[str]) -> None:
        """Stage all deletions or, at the first error, none of them."""
        if isinstance(ids, str):
            raise InvalidInputError(f"ids to delete must be a list of ids, not the one string {ids!r}")
        with self._connection:
            self._stage((check_id(document_id), None, None, None) for document_id in ids)

    def pending_count(self) -> int:
        """Distinct vector keys that the store has no vector for."""
        return int(self._connection.execute(f"SELECT count(DISTINCT key) {self._pending()}").get)

    def pending(self, batch_rows: int) -> Iterator[list[tuple[bytes, str]]]:
        """Each such key once with the payload of one of its documents, shortest payload first, in batches."""
        self._connection.execute("DELETE FROM temp.todo")
        # A list made beforehand: the caller stores vectors while it iterates, which changes what is pending.
        self._connection.execute(
            f"INSERT INTO temp.todo (staged) SELECT min(n) {self._pending()} "
            "GROUP BY key ORDER BY min(length(payload)), min(n)"
        )
        last = 0
        batch: list[tuple[Any, ...]]
        while batch := self._connection.execute(
            "SELECT todo.n, key, payload FROM temp.todo JOIN temp.staged ON staged.n = todo.staged "
            "WHERE todo.n > ? ORDER BY todo.n LIMIT ?",
            (last, batch_rows),
        ).fetchall():
            last = batch[-1][0]
            yield [(key, payload) for _, key, payload in batch]

    def _pending(self) -> str:
        if self._spool is not None:
            self._spool.note()
        return self._missing

    def _stage(self, rows: Iterator[_Row]) -> None:
        last: list[str] = [""]

        def noted() -> Iterator[_Row]:
            for row in rows:
                last[0] = row[0]
                yield row

        try:
            self._connection.executemany(_STAGE, noted())
        except apsw.ConstraintError as error:
            raise DuplicateIdError(f"id {last[0]!r} comes twice in one command: keep one of them") from error


def _rows(records: Iterable[Record]) -> Iterator[_Row]:
    for record in records:
        if not isinstance(record, Record):
            raise InvalidInputError(f"a writer takes Records, not {type(record).__name__}")
        digest = document_hash(record.id, record.vector_key, record.payload)
        yield record.id, record.vector_key, digest, record.payload
