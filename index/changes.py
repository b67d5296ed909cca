"""Applies what a command staged to the documents table, inside the transaction that makes it visible."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from ..errors import InvalidInputError
from .evidence import EvidenceSchema
from .evidence_rows import check_born

_COUNT = """
SELECT count(*) FILTER (WHERE key IS NOT NULL), count(*) FILTER (WHERE key IS NOT NULL AND row IS NOT NULL),
    count(*) FILTER (WHERE staged.hash = live.hash), count(*) FILTER (WHERE key IS NULL AND row IS NOT NULL),
    count(*) FILTER (WHERE key IS NULL AND row IS NULL)
FROM temp.staged LEFT JOIN documents AS live ON live.id = staged.id AND live.died IS NULL
"""
# CROSS JOIN fixes the order of the tables: the few staged ones look up theirs among all documents.
_KILL_STAGED = """
UPDATE documents SET died = ? WHERE row IN (
    SELECT live.row FROM temp.staged CROSS JOIN documents AS live ON live.id = staged.id AND live.died IS NULL
    WHERE staged.key IS NULL OR staged.hash <> live.hash)
"""
_KILL_ABSENT = """
UPDATE documents SET died = ? WHERE row IN (
    SELECT row FROM documents AS live WHERE died IS NULL AND NOT EXISTS (
        SELECT 1 FROM temp.staged WHERE staged.id = live.id AND staged.key IS NOT NULL))
"""
_ADD = """
INSERT INTO documents (id, born, vector, hash, payload)
SELECT staged.id, ?, vectors.vector, staged.hash, staged.payload
FROM temp.staged CROSS JOIN vectors ON vectors.key = staged.key
WHERE NOT EXISTS (SELECT 1 FROM documents WHERE documents.id = staged.id AND documents.died IS NULL)
ORDER BY staged.n
"""
_COUNT_STAYING = """
SELECT count(*) FROM (
    SELECT key FROM temp.staged WHERE key IS NOT NULL
    UNION
    SELECT key FROM documents AS live JOIN vectors USING (vector)
    WHERE died IS NULL AND NOT EXISTS (SELECT 1 FROM temp.staged WHERE staged.id = live.id))
"""
LAST_ROW = "SELECT coalesce(max(CAST(seq AS INTEGER)), 0) FROM sqlite_sequence WHERE name = 'documents'"
"""The highest row number that was given out."""
_LACKING = """
SELECT count(*), min(id) FROM temp.staged
WHERE key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = staged.key)
"""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened to documents, in numbers."""

    added: int
    changed: int
    unchanged: int
    removed: int
    missing: int

    @property
    def nothing(self) -> bool:
        """Whether every document stayed as it was."""
        return self.added + self.changed + self.removed == 0


def count_staged(connection: apsw.Connection, documents: int, whole: bool) -> Changes:
    """What applying the staged documents would do; reads only what is staged and its live documents.

    documents: how many live now. whole: what is put becomes the whole index.
    """
    put, known, unchanged, deleted, missing = connection.execute(_COUNT).get
    removed = documents - known if whole else deleted
    return Changes(put - known, known - unchanged, unchanged, removed, missing)


def count_vectors(connection: apsw.Connection, whole: bool) -> int:
    """How many distinct vectors live documents would use once the staged ones were applied."""
    staged = "SELECT count(DISTINCT key) FROM temp.staged"
    return int(connection.execute(staged if whole else _COUNT_STAYING).get)


def apply_staged(
    connection: apsw.Connection, number: int, documents: int, whole: bool, evidence: EvidenceSchema | None
) -> Changes:
    """Let staged documents be born and replaced or deleted ones die at commit ``number``.

    documents: how many live now. whole: also let every live document die that was not put.

    evidence: what every vector's must be. Raises InvalidInputError when a staged document has no vector, or one with
    other evidence.
    """
    changes, last_row = count_staged(connection, documents, whole), int(connection.execute(LAST_ROW).get)
    connection.execute(_KILL_STAGED, (number,))
    if whole:
        connection.execute(_KILL_ABSENT, (number,))
    connection.execute(_ADD, (number,))
    if connection.changes() < changes.added + changes.changed:
        count, example = connection.execute(_LACKING).get
        raise InvalidInputError(f"{count} documents have no vector, {example!r} among them: put_vectors first")
    check_born(connection, last_row, evidence)
    return changes
