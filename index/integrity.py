"""What ``verify`` asks of the store: that every table, and every row that has a hash, is as it was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import apsw

from ..errors import IndexDamagedError
from .evidence_rows import damaged
from .history import REMEMBERED
from .seals import document_hash
from .store import last_commits, pending_build
from .tables import has_table
from .vectors import vector_hash

_REUSED = """
SELECT 'documents' WHERE (SELECT max(row) FROM documents) >
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'documents'), 0)
UNION ALL SELECT 'vectors' WHERE (SELECT max(vector) FROM vectors) >
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'vectors'), 0)
"""
_WITHOUT_VECTOR = "SELECT vector FROM evidence WHERE vector NOT IN (SELECT vector FROM fresh) LIMIT 1"
_BORN = "SELECT born, count(*) FROM documents GROUP BY born"
_DIED = "SELECT died, count(*) FROM documents WHERE died IS NOT NULL GROUP BY died"


def store_faults(connection: apsw.Connection) -> Iterator[str]:
    """What is wrong with the store; SQLite's own check looks at its pages only, not at what they say."""
    for (message,) in connection.execute("PRAGMA integrity_check"):
        if message != "ok":
            yield message
    yield from _refusal(lambda: _wrong_counts(connection))
    yield from _refusal(lambda: pending_build(connection))
    yield from _damaged_rows(connection)
    for (name,) in connection.execute(_REUSED):
        yield f"numbers of {name} would be given out again: restore the index"


def _refusal(read: Callable[[], object]) -> Iterator[str]:
    try:
        read()
    except IndexDamagedError as error:
        yield str(error)


def _wrong_counts(connection: apsw.Connection) -> None:
    """Raise IndexDamagedError for a commit that did not count the versions which say that they came or went with it."""
    born, died = _counted(connection, _BORN), _counted(connection, _DIED)
    commits = last_commits(connection)
    for commit in commits:
        came, went = born.pop(commit.number, 0), died.pop(commit.number, 0)
        added, changed, removed = commit.command.added, commit.command.changed, commit.command.removed
        # What went with the oldest is forgotten.
        if came != added + changed or (commit is not commits[-1] and went != changed + removed):
            raise IndexDamagedError(f"commit {commit.number} does not count its documents: restore the index")
    if any(number > commits[-1].number for number in (*born, *died)):
        raise IndexDamagedError("documents came or went with commits that never were: restore the index")


def _counted(connection: apsw.Connection, query: str) -> dict[int, int]:
    rows: list[Any] = connection.execute(query).fetchall()
    return dict(rows)


def _damaged_rows(connection: apsw.Connection) -> Iterator[str]:
    for row, document_id, key, digest, payload in connection.execute(REMEMBERED):
        if key is None or document_hash(document_id, key, payload) != digest:
            yield f"row {row}, document {document_id!r}, does not match its hash"
    for number, data, digest in connection.execute("SELECT vector, coalesce(data, x''), hash FROM fresh"):
        if vector_hash(data) != digest:
            yield f"fresh vector {number} does not match its hash"
    if has_table(connection, "evidence"):
        for number in damaged(connection):
            yield f"evidence of fresh vector {number} does not match its hash"
        if (number := connection.execute(_WITHOUT_VECTOR).get) is not None:
            yield f"evidence is of vector {number}, which is not fresh: compact the index"
