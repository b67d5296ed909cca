"""The tables of ``store.sqlite``, and the check that a store has these and nothing that would run when it is read."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import apsw

from ..errors import IndexDamagedError

TABLES = """
CREATE TABLE commits (number INTEGER PRIMARY KEY, made TEXT NOT NULL, generation INTEGER NOT NULL,
    documents INTEGER NOT NULL, schema TEXT NOT NULL, options TEXT NOT NULL,
    command TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE builds (one INTEGER PRIMARY KEY CHECK (one = 1), schema TEXT NOT NULL,
    options TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE segments (generation INTEGER PRIMARY KEY, description TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE vectors (vector INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE fresh (vector INTEGER PRIMARY KEY, data BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE spool (place INTEGER PRIMARY KEY, rows INTEGER NOT NULL, kind TEXT NOT NULL,
    dimension INTEGER NOT NULL, keys BLOB NOT NULL, hash BLOB NOT NULL) STRICT;
CREATE TABLE documents (row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, born INTEGER NOT NULL,
    died INTEGER, vector INTEGER NOT NULL, hash BLOB NOT NULL, payload TEXT NOT NULL) STRICT;
CREATE UNIQUE INDEX live ON documents (id) WHERE died IS NULL;
CREATE INDEX dead ON documents (died) WHERE died IS NOT NULL;
"""
EVIDENCE_TABLES = """
CREATE TABLE evidence (vector INTEGER PRIMARY KEY, mark BLOB NOT NULL, terms BLOB NOT NULL, parts BLOB NOT NULL,
    hash BLOB NOT NULL) STRICT;
CREATE TABLE evidence_spool (place INTEGER PRIMARY KEY, start INTEGER NOT NULL, entries INTEGER NOT NULL,
    terms INTEGER NOT NULL, parts INTEGER NOT NULL, width INTEGER NOT NULL, mark BLOB NOT NULL,
    hash BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(terms, content='', contentless_delete=1, detail=none, tokenize='ascii');
"""
"""What version 3 of the format has beyond version 2."""
VERSIONS = {2: TABLES, 3: TABLES + EVIDENCE_TABLES}
"""The tables of each version that is read."""

FILTERS = "filter_"
"""How the names of indexes on places in payloads begin; see ``columns``."""
_SCHEMA = """
SELECT CAST(type AS BLOB), coalesce(CAST(name AS BLOB), x''), CAST(tbl_name AS BLOB), CAST(sql AS BLOB)
FROM sqlite_schema
"""


def check_tables(connection: apsw.Connection, store: Path, version: int) -> None:
    """Raise IndexDamagedError for a table that is not declared as it should be, and for triggers, views and the like.

    A store from a stranger is data: nothing in it may run, and no column may be other than the code expects.
    """
    found: set[Any] = set(connection.execute(_SCHEMA).fetchall())
    wrong = {name for _, name, _, _ in _declared(version) - found}
    for kind, name, table, _ in found - _declared(version):
        if not (kind == b"index" and name.startswith(FILTERS.encode()) and table == b"documents"):
            wrong.add(name)
    if wrong:
        told = b", ".join(sorted(wrong)).decode(errors="replace")
        raise IndexDamagedError(f"{store} is not declared as an index's is ({told}): do not use it")


def has_table(connection: apsw.Connection, name: str) -> bool:
    """Whether there is such a table: a store of an older version lacks some."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = ?", (name,)).get is not None


@cache
def _declared(version: int) -> frozenset[tuple[Any, ...]]:
    with closing(apsw.Connection(":memory:")) as model:
        model.execute(VERSIONS[version])
        return frozenset(model.execute(_SCHEMA).fetchall())
