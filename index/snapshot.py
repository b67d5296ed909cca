"""One commit as readers see it: segment, its dead, the fresh tail. Immutable, so searches need no lock."""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .ann import Selector
from .arrays import spread
from .layout import Layout
from .segment import Segment, SegmentDescription
from .statistics import Statistics
from .store import Commit, current_commit, segment_description
from .tail import Tail, load_tail


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is live at one commit.

    dead_slots: ``(m,)`` True for documents of the segment that have died.
    alive: ``(n + f,)`` True for vectors that a live document uses; living: how many of the segment's are so.
    selector: the nodes of the segment's ANN index that stand for such a vector; None where all do, or without one.
    statistics: of all documents of the commit, where the index keeps evidence.
    """

    commit: Commit
    segment: Segment
    tail: Tail
    dead_slots: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    living: int
    selector: Selector | None
    statistics: Statistics | None

    @classmethod
    def of(
        cls,
        commit: Commit,
        segment: Segment,
        tail: Tail,
        dead_slots: NDArray[np.bool_],
        statistics: Statistics | None = None,
    ) -> Snapshot:
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
        return cls(commit, segment, tail, dead_slots, alive, living, selector, statistics)

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

    def statistics_of(self) -> Statistics:
        """Statistics of all documents of the commit; raises InvalidInputError where the index keeps no evidence."""
        if self.statistics is None:
            raise InvalidInputError("this index keeps no evidence: build it again with evidence")
        return self.statistics

    def positions_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each vector number, -1 for those not known here; ``(n,)`` int64 both."""
        positions = self.segment.positions_of(numbers)
        fresh = self.tail.numbers
        if len(fresh):
            places = np.minimum(np.searchsorted(fresh, numbers), len(fresh) - 1)
            positions = np.where(fresh[places] == numbers, places + len(self.segment.vectors), positions)
        return positions

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
        places, fresh_owners = spread(starts, np.minimum(sizes, limit))
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
        slots, places = spread(starts, self.segment.starts[inside + 1] - starts)
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
    before, counted = None, None
    if previous is not None and previous.commit.generation == commit.generation:
        segment, before, counted = previous.segment, previous.tail, previous.statistics
    else:
        segment = load_segment(connection, layout)
    told = segment.description.space, segment.description.dimension, segment.description.evidence
    if told != (commit.schema.space, commit.schema.dimension, commit.schema.evidence):
        raise IndexDamagedError(f"{layout.store} has a segment of other vectors than the commit's: restore the index")
    tail = load_tail(connection, segment, commit, before)
    dead_slots, statistics = _dead_slots(connection, segment), None
    if segment.evidence is not None:
        statistics = Statistics(segment, segment.evidence, tail, dead_slots, commit.documents, counted)
    return Snapshot.of(commit, segment, tail, dead_slots, statistics)


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


def _first_of_each(
    rows: NDArray[np.int64], owners: NDArray[np.int64], limit: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first ``limit`` rows of each owner; ``owners`` ascends."""
    keep = np.arange(len(owners)) - np.searchsorted(owners, owners, side="left") < limit
    return rows[keep], owners[keep]
