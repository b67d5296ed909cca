"""One commit as readers see it: segment, its dead, the fresh tail. Immutable, so searches need no lock."""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .ann import Selector
from .layout import Layout
from .options import VECTOR_TYPES
from .segment import Segment, SegmentDescription
from .store import Commit, current_commit, segment_description
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
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    live_rows: NDArray[np.int64]
    live_positions: NDArray[np.int64]
    numbers: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is live at one commit.

    dead_slots: ``(m,)`` True for documents of the segment that have died.
    alive: ``(n + f,)`` True for vectors that a live document uses; living: how many of the segment's are so.
    selector: the nodes of the segment's ANN index that stand for such a vector; None where all do, or without one.
    """

    commit: Commit
    segment: Segment
    tail: Tail
    dead_slots: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    living: int
    selector: Selector | None

    @classmethod
    def of(cls, commit: Commit, segment: Segment, tail: Tail, dead_slots: NDArray[np.bool_]) -> Snapshot:
        """Work out which vectors live from which documents do."""
        size, starts = len(segment.vectors), segment.starts
        alive = np.zeros(size + len(tail.vectors), dtype=np.bool_)
        np.not_equal(starts[1:], starts[:-1], out=alive[:size])
        # Every search after a commit waits for this: past the line above, only what changed is counted.
        dying, times = np.unique(segment.positions_of_slots(np.flatnonzero(dead_slots)), return_counts=True)
        alive[dying] = starts[dying + 1] - starts[dying] > times
        alive[tail.live_positions] = True
        living = int(np.count_nonzero(alive[:size]))
        selector = None
        if segment.ann is not None and living < size:
            selector = Selector(segment.ann.twins.alive(alive[:size]))
        return cls(commit, segment, tail, dead_slots, alive, living, selector)

    @property
    def nodes(self) -> int:
        """Nodes of the segment's ANN index that may be answered."""
        if self.segment.ann is None:
            return 0
        return len(self.segment.ann.twins) if self.selector is None else self.selector.count

    def gather(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors at ``(n,)`` positions: ``(n, dim)`` float32."""
        size = len(self.segment.vectors)
        inside = positions < size
        if inside.all():
            return self.segment.vectors[positions].astype(np.float32, copy=False)
        found = np.empty((len(positions), self.commit.schema.dimension), dtype=np.float32)
        found[inside] = self.segment.vectors[positions[inside]]
        found[~inside] = self.tail.vectors[positions[~inside] - size]
        return found

    def positions_of_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of the vector of each row, -1 for rows not known here; ``(n,)`` int64 both."""
        slots = self.segment.slots_of(rows)
        positions = np.where(slots >= 0, self.segment.positions_of_slots(slots), -1)
        if len(self.tail.rows):
            places = np.minimum(np.searchsorted(self.tail.rows, rows), len(self.tail.rows) - 1)
            positions = np.where(self.tail.rows[places] == rows, self.tail.positions[places], positions)
        return positions

    def documents_at(self, positions: NDArray[np.int64], limit: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Live documents that use the vectors at ``positions``, ``(n,)`` int64.

        Returns their rows, and the place in ``positions`` that each belongs to. Of a vector's documents only
        the first ``limit`` by id, descending, are surely among them.
        """
        rows, owners = self._old_documents_at(positions, limit)
        if not len(self.tail.live_rows):
            return rows, owners
        starts = np.searchsorted(self.tail.live_positions, positions, side="left")
        sizes = np.searchsorted(self.tail.live_positions, positions, side="right") - starts
        places, fresh_owners = _spread(starts, np.minimum(sizes, limit))
        return np.concatenate([rows, self.tail.live_rows[places]]), np.concatenate([owners, fresh_owners])

    def _old_documents_at(
        self, positions: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        owners = np.flatnonzero(positions < len(self.segment.vectors))
        inside = positions[owners]
        if self.segment.single:
            owners = owners[~self.dead_slots[inside]]
            return self.segment.rows[positions[owners]], owners
        starts = self.segment.starts[inside]
        slots, places = _spread(starts, self.segment.starts[inside + 1] - starts)
        living = ~self.dead_slots[slots]
        return _first_of_each(self.segment.rows[slots[living]], owners[places[living]], limit)


def load_snapshot(connection: apsw.Connection, layout: Layout, previous: Snapshot | None) -> Snapshot | None:
    """The current commit as a snapshot, None before the first; call it inside one transaction.

    previous: an older snapshot: returned while it is current, its segment taken over while that is.

    Raises IndexDamagedError when the segment cannot be opened.
    """
    commit = current_commit(connection)
    if commit is None or (previous is not None and previous.commit.number == commit.number):
        return previous
    before = None
    if previous is not None and previous.commit.generation == commit.generation:
        segment, before = previous.segment, previous.tail
    else:
        segment = load_segment(connection, layout)
    told = segment.description.space, segment.description.dimension
    if told != (commit.schema.space, commit.schema.dimension):
        raise IndexDamagedError(f"{layout.store} has a segment of other vectors than the commit's: restore the index")
    tail = _load_tail(connection, segment, commit, before)
    return Snapshot.of(commit, segment, tail, _dead_slots(connection, segment))


def load_segment(connection: apsw.Connection, layout: Layout, *, derived: bool = True) -> Segment:
    """Map the segment that is current in the surrounding transaction; see ``Segment.open``."""
    description = describe_segment(connection, layout)
    return Segment.open(layout.segment(description.generation), description, derived=derived)


def describe_segment(connection: apsw.Connection, layout: Layout) -> SegmentDescription:
    """What the store says of the current segment; raises IndexDamagedError where it says nothing."""
    try:
        return msgspec.json.decode(segment_description(connection), type=SegmentDescription)
    except (msgspec.DecodeError, RecursionError) as error:
        raise IndexDamagedError(f"{layout.store} does not describe its segment: restore the index") from error


def _dead_slots(connection: apsw.Connection, segment: Segment) -> NDArray[np.bool_]:
    description = segment.description
    died = connection.execute(
        "SELECT row FROM documents WHERE died > ? AND row <= ?", (description.commit, description.last_row)
    )
    slots = segment.slots_of(np.fromiter((row for (row,) in died), dtype=np.int64))
    if (slots < 0).any():
        raise IndexDamagedError(
            f"segment {description.generation} lacks documents of the store: twinbert index rebuild mends it"
        )
    dead = np.zeros(description.documents, dtype=np.bool_)
    dead[slots] = True
    return dead


def _load_tail(connection: apsw.Connection, segment: Segment, commit: Commit, before: Tail | None) -> Tail:
    """The tail at a commit; what of its vectors was in the same segment's tail ``before`` is not read again."""
    last_row = segment.description.last_row
    numbers, vectors = _fresh_vectors(connection, last_row, commit, before)
    found = connection.execute(
        "SELECT row, vector, died IS NULL FROM documents WHERE row > ? ORDER BY id DESC", (last_row,)
    ).fetchall()
    rows, vector_of, living = np.array(found, dtype=np.int64).reshape(-1, 3).T
    positions = segment.positions_of(vector_of)
    outside = positions < 0
    places = np.searchsorted(numbers, vector_of[outside])
    if not np.isin(vector_of[outside], numbers).all():
        raise IndexDamagedError("documents of the index have lost their vectors: twinbert index rebuild mends it")
    positions[outside] = places + len(segment.vectors)
    by_row = np.argsort(rows)
    alive = living.astype(np.bool_)
    grouped = np.argsort(positions[alive], kind="stable")
    return Tail(rows[by_row], positions[by_row], rows[alive][grouped], positions[alive][grouped], numbers, vectors)


def _fresh_vectors(
    connection: apsw.Connection, last_row: int, commit: Commit, before: Tail | None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Numbers, ascending, and vectors that documents after ``last_row`` use and ``fresh`` holds."""
    known = np.empty(0, dtype=np.int64) if before is None else before.numbers
    if before is not None and len(before.rows):
        last_row = int(before.rows[-1])
    found = connection.execute(_FRESH_SINCE, (last_row,)).fetchall()
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


def _spread(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every number of each range, and the range it is of.

    Example: starts [5, 9], sizes [2, 1] -> [5, 6, 9], [0, 0, 1]
    """
    owners = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    return starts[owners] + np.arange(len(owners)) - before[owners], owners


def _first_of_each(
    rows: NDArray[np.int64], owners: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first ``limit`` rows of each owner; ``owners`` ascends."""
    keep = np.arange(len(owners)) - np.searchsorted(owners, owners, side="left") < limit
    return rows[keep], owners[keep]
