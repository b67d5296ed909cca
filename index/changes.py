"""Applies what a command staged to the documents table, inside the transaction that makes it visible."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from ..errors import InvalidInputError

_MATCH = "FROM temp.staged JOIN documents ON documents.id = staged.id AND documents.died IS NULL"
_SAME = "staged.hash = documents.hash AND documents.vector IN (SELECT vector FROM vectors)"
_KILL_STAGED = """
UPDATE documents SET died = ? FROM temp.staged
WHERE documents.id = staged.id AND documents.died IS NULL
    AND (staged.key IS NULL OR staged.hash <> documents.hash
        OR documents.vector NOT IN (SELECT vector FROM vectors))
"""
_KILL_ABSENT = """
UPDATE documents SET died = ?
WHERE died IS NULL AND id NOT IN (SELECT id FROM temp.staged WHERE key IS NOT NULL)
"""
_ADD = """
INSERT INTO documents (id, born, vector, hash, payload)
SELECT staged.id, ?, vectors.vector, staged.hash, staged.payload
FROM temp.staged JOIN vectors ON vectors.key = staged.key
WHERE NOT EXISTS (SELECT 1 FROM documents WHERE documents.id = staged.id AND documents.died IS NULL)
ORDER BY staged.n
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


def apply_staged(connection: apsw.Connection, number: int, replace: bool) -> Changes:
    """Let staged documents be born and replaced or deleted ones die at commit ``number``.

    replace: also let every live document die that was not staged.

    Raises InvalidInputError when a staged document has no vector.
    """
    _check_vectors(connection)
    before = _count(connection, "SELECT count(*) FROM documents WHERE died IS NULL")
    staged = _count(connection, "SELECT count(*) FROM temp.staged WHERE key IS NOT NULL")
    unchanged = _count(connection, f"SELECT count(*) {_MATCH} WHERE {_SAME}")
    changed = _count(connection, f"SELECT count(*) {_MATCH} WHERE staged.key IS NOT NULL") - unchanged
    deletions = _count(connection, "SELECT count(*) FROM temp.staged WHERE key IS NULL")
    deleted = _count(connection, f"SELECT count(*) {_MATCH} WHERE staged.key IS NULL")
    connection.execute(_KILL_STAGED, (number,))
    if replace:
        connection.execute(_KILL_ABSENT, (number,))
    connection.execute(_ADD, (number,))
    added = staged - changed - unchanged
    removed = before - changed - unchanged if replace else deleted
    return Changes(added, changed, unchanged, removed, deletions - deleted)


def _check_vectors(connection: apsw.Connection) -> None:
    lacking = connection.execute(
        "SELECT count(*), min(id) FROM temp.staged "
        "WHERE key IS NOT NULL AND NOT EXISTS (SELECT 1 FROM vectors WHERE vectors.key = staged.key)"
    ).get
    if lacking[0]:
        raise InvalidInputError(f"{lacking[0]} documents have no vector, {lacking[1]!r} among them: put_vectors first")


def _count(connection: apsw.Connection, query: str) -> int:
    return int(connection.execute(query).get)
