"""What an index remembers: the commits that can be undone, and the document versions and vectors that they need.

A commit is undone by going back to the state before it, so the oldest one that is remembered is where undoing ends.
A version is needed while it died after that one; its vector is in the current segment or else in the table ``fresh``.
Compactions change no document: they are remembered, and not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .evidence_rows import forget_evidence, insert, rows_of
from .records import CommitInfo
from .segment import Segment, SegmentRequest
from .store import Commit, last_commits, pending_build
from .vectors import vector_hash

COMPACT = "compact"
"""The kind of commits that change no document."""
REMEMBERED = """
SELECT row, CAST(id AS TEXT), CAST(key AS BLOB), hash, CAST(payload AS TEXT)
FROM documents LEFT JOIN vectors USING (vector)
WHERE died IS NULL OR died > (SELECT min(number) FROM commits)
"""
"""Every document version that lives or can be brought back, with its vector's key; cast, lest damage changed a type."""
_NEEDED = """
SELECT DISTINCT vector FROM documents WHERE died IS NULL OR died > (SELECT min(number) FROM commits)
"""
_FORGET_FRESH = """
DELETE FROM fresh WHERE vector NOT IN (
    SELECT vector FROM documents WHERE died IS NULL OR died > (SELECT min(number) FROM commits))
"""
_FORGET_KEYS = """
DELETE FROM vectors WHERE vector NOT IN (SELECT vector FROM fresh) AND vector NOT IN (
    SELECT vector FROM documents WHERE died IS NULL OR died > (SELECT min(number) FROM commits))
"""
_FORGET_MOVED = "DELETE FROM fresh WHERE vector NOT IN (SELECT vector FROM temp.outside)"
_STAGED_STAY = " AND vector IN (SELECT vector FROM documents)"
_LACKING = "SELECT vector FROM temp.outside WHERE vector NOT IN (SELECT vector FROM fresh)"


def described(commits: Sequence[Commit]) -> list[CommitInfo]:
    """Commits, the last one first and all that are remembered, as users see them."""
    found = []
    for commit in commits:
        command = commit.command
        undoable = commit is not commits[-1] and command.kind != COMPACT
        counts = (command.added, command.changed, command.removed)
        found.append(CommitInfo(commit.number, commit.made, command.kind, *counts, commit.documents, undoable))
    return found


def target_of(commits: Sequence[Commit], steps: int) -> Commit:
    """The commit before the last ``steps`` changes; ``commits`` as above.

    Raises InvalidInputError for less than one step, and where less is remembered.
    """
    changes = [place for place, commit in enumerate(commits[:-1]) if commit.command.kind != COMPACT]
    if steps < 1:
        raise InvalidInputError(f"commits to undo must be at least 1, not {steps}")
    if steps > len(changes):
        reach = f"undo at most {len(changes)}" if changes else "none can be undone"
        raise InvalidInputError(f"history does not reach back {steps} commits: {reach}")
    return commits[changes[steps - 1] + 1]


def oldest_needed(commits: Sequence[Commit], keep: int) -> int:
    """Number of the commit to go back to when the last ``keep`` changes are undone, or all that can be."""
    changes = [place for place, commit in enumerate(commits[:-1]) if commit.command.kind != COMPACT]
    if not keep:
        return commits[0].number
    return commits[-1 if keep > len(changes) else changes[keep - 1] + 1].number


def keep_history(connection: apsw.Connection, request: SegmentRequest, numbers: NDArray[np.int64]) -> None:
    """Forget what is not needed any more once the segment that was requested takes the place of the previous one.

    What undoing ``history`` changes needs is kept, and the rows that readers were given over two publications. Vectors
    that only undoing needs and that the new segment leaves out move to ``fresh``. Without a previous segment there is
    nothing to go back to. To be called in the transaction that adds the commit.

    numbers: ``(n,)`` int64, the new segment's vectors, ascending.
    """
    commit, previous = request.commit, request.previous
    history = commit.options.history if request.history is None else request.history
    oldest = commit.number if previous is None else oldest_needed(last_commits(connection), history)
    forget_commits(connection, oldest)
    forget_versions(connection, died_by=-1 if previous is None else min(oldest, previous.description.before))
    needed = _numbers(connection, "SELECT DISTINCT vector FROM documents WHERE died > ?", oldest)
    building = pending_build(connection) is not None
    with _outside(connection, needed, numbers) as lacking:
        if previous is not None:
            _move_to_fresh(connection, previous, lacking)
        # What a build has staged stays with it.
        connection.execute(_FORGET_MOVED + (_STAGED_STAY if building else ""))
        forget_evidence(connection)
    connection.execute(_FORGET_KEYS)


def forget_commits(connection: apsw.Connection, oldest: int) -> None:
    """Forget commits before ``oldest``."""
    connection.execute("DELETE FROM commits WHERE number < ?", (oldest,))


def forget_versions(connection: apsw.Connection, died_by: int) -> None:
    """Forget versions that died by commit ``died_by``. The current segment may list none of them."""
    connection.execute("DELETE FROM documents WHERE died <= ?", (died_by,))


def forget_vectors(connection: apsw.Connection) -> None:
    """Forget fresh vectors and keys that no version needs; what a build has staged stays with it."""
    if pending_build(connection) is None:
        connection.execute(_FORGET_FRESH)
        forget_evidence(connection)
    connection.execute(_FORGET_KEYS)


def lost_vectors(connection: apsw.Connection, segment: Segment) -> NDArray[np.int64]:
    """Vectors that versions need and that are neither in the current segment nor fresh: their numbers, ``(n,)``."""
    fresh = "SELECT 1 FROM fresh WHERE vector = ?"
    outside = np.setdiff1d(_numbers(connection, _NEEDED), segment.numbers, assume_unique=True)
    lost = [number for number in outside.tolist() if connection.execute(fresh, (number,)).get is None]
    return np.array(lost, dtype=np.int64)


def _move_to_fresh(connection: apsw.Connection, segment: Segment, numbers: NDArray[np.int64]) -> None:
    places = segment.positions_of(numbers)
    if (places < 0).any():
        raise IndexDamagedError(
            "versions that history remembers have lost their vectors: twinbert index rebuild mends it"
        )
    for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
        data = segment.vectors[place].tobytes()
        connection.execute("INSERT INTO fresh VALUES (?, ?, ?)", (number, data, vector_hash(data)))
    if segment.evidence is not None:
        for number, place in zip(numbers.tolist(), places, strict=True):
            rows = rows_of(segment.evidence.entries.take(place.reshape(1)), segment.description.evidence)
            insert(connection, [(number, row) for row in rows or ()])


@contextmanager
def _outside(
    connection: apsw.Connection, needed: NDArray[np.int64], numbers: NDArray[np.int64]
) -> Iterator[NDArray[np.int64]]:
    """A table of the vectors needed that are not among ``numbers``; gives those of them that are not fresh either."""
    outside = np.setdiff1d(needed, numbers, assume_unique=True)
    connection.execute("CREATE TEMP TABLE outside (vector INTEGER PRIMARY KEY) STRICT")
    connection.executemany("INSERT INTO temp.outside VALUES (?)", ((number,) for number in outside.tolist()))
    yield _numbers(connection, _LACKING)
    connection.execute("DROP TABLE temp.outside")


def _numbers(connection: apsw.Connection, query: str, *values: int) -> NDArray[np.int64]:
    found = connection.execute(query, values)
    return np.fromiter((number for (number,) in found), dtype=np.int64)
