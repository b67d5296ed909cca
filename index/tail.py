"""What is newer than the segment: documents, and the vectors and evidence that only they use, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .evidence import Entries
from .evidence_rows import evidence_since
from .options import VECTOR_TYPES
from .segment import Segment
from .store import Commit
from .vectors import from_blob

_FRESH_SINCE = """
SELECT vector, coalesce(data, x'') FROM fresh WHERE vector IN (SELECT vector FROM documents WHERE row > ?)
"""


@dataclass(frozen=True, slots=True)
class Tail:
    """Documents newer than the segment, and the vectors that only they use.

    Positions go on after the segment's: its vector p is p, fresh vector f is n + f.

    rows, positions: ``(t,)`` int64 of all tail documents, dead ones too, ascending by row.
    live_rows, live_positions: ``(l,)`` int64 of the living, by position and then by id, descending.
    numbers: ``(f,)`` int64 of the fresh vectors, ascending. vectors: ``(f, dim)`` float32 unit rows.
    evidence: of the fresh vectors, where the index keeps any; lengths: ``(f,)`` int32, sums of its counts.
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    live_rows: NDArray[np.int64]
    live_positions: NDArray[np.int64]
    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]
    evidence: Entries | None
    lengths: NDArray[np.int32]


def load_tail(connection: apsw.Connection, segment: Segment, commit: Commit, before: Tail | None) -> Tail:
    """The tail at a commit; what of its vectors was in the same segment's tail ``before`` is not read again."""
    last_row = segment.description.last_row
    since = last_row if before is None or not len(before.rows) else int(before.rows[-1])
    numbers, vectors = _fresh_vectors(connection, since, commit, before)
    found = connection.execute(
        "SELECT row, vector, died IS NULL FROM documents WHERE row > ? ORDER BY id DESC", (last_row,)
    ).fetchall()
    rows, vector_of, undead = np.array(found, dtype=np.int64).reshape(-1, 3).T
    positions = segment.positions_of(vector_of)
    outside = positions < 0
    places = np.searchsorted(numbers, vector_of[outside])
    if not np.isin(vector_of[outside], numbers).all():
        raise IndexDamagedError("documents of the index have lost their vectors: twinbert index rebuild mends it")
    positions[outside] = places + len(segment.vectors)
    evidence = _fresh_evidence(connection, since, commit, before, numbers)
    by_row = np.argsort(rows)
    alive = undead.astype(np.bool_)
    grouped = np.argsort(positions[alive], kind="stable")
    lengths = np.empty(0, dtype=np.int32) if evidence is None else evidence.lengths
    living = rows[alive][grouped], positions[alive][grouped]
    return Tail(rows[by_row], positions[by_row], *living, numbers, vectors, evidence, lengths)


def _fresh_vectors(
    connection: apsw.Connection, since: int, commit: Commit, before: Tail | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Numbers, ascending, and vectors that were in ``before``, or that documents after row ``since`` use."""
    known = np.empty(0, dtype=np.int64) if before is None else before.numbers
    found = connection.execute(_FRESH_SINCE, (since,)).fetchall()
    dimension, kind = commit.schema.dimension, VECTOR_TYPES[commit.options.vector_type]
    read = np.empty((len(found), dimension), dtype=kind)
    for place, (number, data) in enumerate(found):
        try:
            read[place] = from_blob(data, dimension)  # type: ignore[arg-type]
        except InvalidInputError as error:
            raise IndexDamagedError(f"fresh vector {number} is damaged: twinbert index rebuild mends it") from error
    added = np.array([number for number, _ in found], dtype=np.int64)
    numbers = np.union1d(known, added)
    vectors = np.empty((len(numbers), dimension), dtype=np.float32)
    vectors[np.searchsorted(numbers, added)] = read
    if before is not None:
        vectors[np.searchsorted(numbers, known)] = before.vectors
    return numbers, vectors


def _fresh_evidence(
    connection: apsw.Connection, since: int, commit: Commit, before: Tail | None, numbers: NDArray[np.int64]
) -> Entries | None:
    """Evidence of the fresh vectors ``numbers``, likewise."""
    schema = commit.schema.evidence
    if schema is None:
        return None
    added, entries = evidence_since(connection, since, schema)
    if before is not None and before.evidence is not None:
        added, entries = np.append(before.numbers, added), Entries.joined([before.evidence, entries], schema.part_width)
    there, places = np.unique(added, return_index=True)
    if not np.array_equal(there, numbers):
        raise IndexDamagedError("documents of the index have lost their evidence: twinbert index rebuild mends it")
    return entries.take(places)


def parts_at(segment: Segment, tail: Tail, positions: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Parts of the vectors at ``(n,)`` positions, and where those of each begin, ``(n + 1,)``; raises as below."""
    if segment.evidence is not None and (positions < len(segment.vectors)).all():
        return segment.evidence.entries.parts_at(positions)
    entries = entries_at(segment, tail, positions)
    return entries.parts, entries.part_starts


def entries_at(segment: Segment, tail: Tail, positions: NDArray[np.int64]) -> Entries:
    """Evidence of the vectors at ``(n,)`` positions; raises InvalidInputError where the index keeps none."""
    stored, fresh, schema = segment.evidence, tail.evidence, segment.description.evidence
    if stored is None or fresh is None or schema is None:
        raise InvalidInputError("this index keeps no evidence: build it again with evidence")
    size = len(segment.vectors)
    inside = positions < size
    if inside.all():
        return stored.entries.take(positions)
    several = [stored.entries.take(positions[inside]), fresh.take(positions[~inside] - size)]
    order = np.where(inside, np.cumsum(inside) - 1, np.count_nonzero(inside) + np.cumsum(~inside) - 1)
    return Entries.joined(several, schema.part_width).take(order)
