"""``store.sqlite``: connections, tables and the commits that say what is current.

Uses apsw for its bundled SQLite: 3.7.0 to 3.51.2 can corrupt a WAL database when one connection writes while
another checkpoints (fixed in 3.51.3). Only the holder of LOCK writes or checkpoints; everybody else opens
read-only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import apsw
import msgspec

from ..errors import IndexDamagedError, IndexFolderError, IndexNotFoundError
from .layout import Layout
from .options import BuildOptions, IndexSchema
from .seals import sealed, unsealed
from .tables import EVIDENCE_TABLES, VERSIONS, check_tables

FORMAT = 3
"""Version of the folder's format, kept in SQLite's user_version."""
OLDEST_FORMAT = 2
"""The first that is still read; ``tests/fixtures`` keeps an index of each from there on."""
_APPLICATION = int.from_bytes(b"twin", "big")
_MOST = 2**53
"""Commits, generations and documents that an index can have: far below where SQLite's or Python's numbers end."""
BUSY_MS = 5_000
CACHE_KIB = 65_536
"""Pages of the store that a writer may keep in memory: ids and keys of a large command come in no order."""
_Kind = TypeVar("_Kind")

_COMMITS = """
SELECT number, CAST(made AS BLOB), generation, documents, CAST(schema AS BLOB), CAST(options AS BLOB),
    CAST(command AS BLOB), hash
FROM commits ORDER BY number DESC LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Command:
    """What made a commit: its kind (build, update, sync, compact or rollback), and its changes in documents."""

    kind: str
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """One visible change: its number, the generation it reads, its live documents, what its vectors are."""

    number: int
    made: str
    generation: int
    documents: int
    schema: IndexSchema
    options: BuildOptions
    command: Command


@dataclass(frozen=True, slots=True)
class Build:
    """A build that was begun and has not been committed."""

    schema: IndexSchema
    options: BuildOptions


@contextmanager
def faults_named(layout: Layout) -> Iterator[None]:
    """Turn SQLite's errors into IndexDamagedError or IndexFolderError that say what to do."""
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise IndexDamagedError(
            f"{layout.store} is damaged ({error}): restore it, or remove the folder and build again"
        ) from error
    except (apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise IndexFolderError(
            f"{layout.store}: {error}: check the disk's space and the folder's permissions"
        ) from error
    except apsw.Error as error:
        raise IndexFolderError(f"{layout.store} cannot be used now ({error}): try again") from error


def open_writer(layout: Layout) -> apsw.Connection:
    """The connection that writes, creating the store where it is missing. Only for the holder of LOCK."""
    layout.check_links()
    with faults_named(layout):
        connection = apsw.Connection(str(layout.store))
        try:
            _prepare(connection, layout)
        except BaseException:
            connection.close()
            raise
    return connection


def checkpoint(connection: apsw.Connection) -> None:
    """Move the log into the store as far as readers let it, without waiting for them; the rest comes next time."""
    connection.set_busy_timeout(0)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.set_busy_timeout(BUSY_MS)


@contextmanager
def unsynced(connection: apsw.Connection) -> Iterator[None]:
    """Transactions that are in the log when they end, and on the disk itself only with the next one outside this."""
    connection.pragma("synchronous", "normal")
    try:
        yield
    finally:
        connection.pragma("synchronous", "full")


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """All that is written inside is there at its end, or nothing; a store of version 2 becomes one of this version."""
    with connection:
        if connection.pragma("user_version") < FORMAT:
            connection.execute(EVIDENCE_TABLES)
            connection.pragma("user_version", FORMAT)
        yield


def check_format(connection: apsw.Connection, layout: Layout) -> None:
    """Raise IndexNotFoundError for another program's database, IndexFolderError for a format that is not read.

    IndexDamagedError for a store that is declared otherwise than ``tables`` says.
    """
    application, version = connection.pragma("application_id"), connection.pragma("user_version")
    if application != _APPLICATION:
        raise IndexNotFoundError(f"{layout.folder} is not an index: build one in another folder")
    if version > FORMAT:
        raise IndexFolderError(
            f"{layout.folder} has format {version}, this twinbert reads up to {FORMAT}: install a newer one"
        )
    if version < OLDEST_FORMAT:
        raise IndexFolderError(
            f"{layout.folder} has format {version}, of a trial version: remove the folder and build the index again"
        )
    check_tables(connection, layout.store, version)


def current_commit(connection: apsw.Connection) -> Commit | None:
    """The last commit, None before the first."""
    return next(iter(last_commits(connection, limit=1)), None)


def last_commits(connection: apsw.Connection, limit: int = -1) -> list[Commit]:
    """The commits that are remembered, the last one first; at most ``limit`` unless it is negative.

    Raises IndexDamagedError when one is not as it was written; so do the others that read such a row.
    """
    return [_commit_of(unsealed(f"commit {row[0]}", row)) for row in connection.execute(_COMMITS, (limit,))]


def add_commit(connection: apsw.Connection, commit: Commit) -> None:
    """Make ``commit`` the current one when the surrounding transaction ends."""
    facts = (commit.number, commit.made, commit.generation, commit.documents)
    described = [encode(part) for part in (commit.schema, commit.options, commit.command)]
    connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", sealed(*facts, *described))


def pending_build(connection: apsw.Connection) -> Build | None:
    """The build that was begun and not committed, if there is one."""
    row = connection.execute("SELECT one, CAST(schema AS BLOB), CAST(options AS BLOB), hash FROM builds").fetchone()
    if row is None:
        return None
    _, schema, options = unsealed("unfinished build", row)
    return Build(_decode(schema, IndexSchema), _decode(options, BuildOptions))


def begin_build(connection: apsw.Connection, build: Build) -> None:
    """Note durably what the next replacing commit will hold."""
    row = sealed(1, encode(build.schema), encode(build.options))
    connection.execute("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?)", row)


def segment_description(connection: apsw.Connection) -> bytes:
    """What describes the current segment, as JSON."""
    row = connection.execute("SELECT generation, CAST(description AS BLOB), hash FROM segments").fetchone()
    if row is None:
        raise IndexDamagedError("the store does not describe its segment: restore the index or build it again")
    description: bytes = unsealed("segment", row)[1]
    return description


def replace_segment(connection: apsw.Connection, generation: int, description: str) -> None:
    """Make a segment current, described as JSON, when the surrounding transaction ends."""
    connection.execute("DELETE FROM segments")
    connection.execute("INSERT INTO segments VALUES (?, ?, ?)", sealed(generation, description))


def encode(record: object) -> str:
    """A record as JSON."""
    return msgspec.json.encode(record).decode()


def _commit_of(row: tuple[Any, ...]) -> Commit:
    number, made, generation, documents, schema, options, command = row
    if not all(0 <= count <= _MOST for count in (number, generation, documents)):
        raise IndexDamagedError(f"the store holds a commit {number}, which nobody made: restore the index")
    described = _decode(schema, IndexSchema), _decode(options, BuildOptions), _decode(command, Command)
    return Commit(number, made.decode(), generation, documents, *described)


def _decode(text: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise IndexDamagedError(f"the store holds a {kind.__name__} that cannot be read: restore the index") from error


def _prepare(connection: apsw.Connection, layout: Layout) -> None:
    connection.set_busy_timeout(BUSY_MS)
    blank = connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    if blank:
        connection.pragma("auto_vacuum", "incremental")
    else:
        check_format(connection, layout)
    connection.pragma("journal_mode", "wal")
    for name, value in (
        ("synchronous", "full"),
        ("fullfsync", 1),
        ("checkpoint_fullfsync", 1),
        ("cache_size", -CACHE_KIB),
    ):
        connection.pragma(name, value)
    if blank:
        _create_tables(connection)


def _create_tables(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(VERSIONS[FORMAT])
        connection.pragma("application_id", _APPLICATION)
        connection.pragma("user_version", FORMAT)
