"""One commit as readers see it: segment, its dead, the fresh tail. Immutable, so searches need no lock."""

from __future__ import annotations

from dataclasses import dataclass

import apsw
import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .layout import Layout
from .segment import Segment, SegmentDescription
from .store import Commit, current_commit


@dataclass(frozen=True, slots=True)
class Tail:
    """Documents newer than the segment, and the vectors that only they use.

    Positions go on after the segment's: its vector p is p, fresh vector f is n + f.

    rows, positions: ``(t,)`` int64 of all tail documents, dead ones too, ascending by row.
    live_rows, live_positions: ``(l,)`` int64 of the living, by position and then by id, descending.
    vectors: ``(f, dim)`` float32 unit rows.
    """

    rows: NDArray[np.int64]
    positions: NDArray[np.int64]
    live_rows: NDArray[np.int64]
    live_positions: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is live at one commit.

    dead_slots: ``(m,)`` True for documents of the segment that have died.
    alive: ``(n + f,)`` True for vectors that a live document uses; ``all_alive`` when the segment's are all
        so.
    alive_nodes: ``(g,)`` True for nodes of the segment's graph that stand for such a vector; empty without a
        graph.
    """

    commit: Commit
    segment: Segment
    tail: Tail
    dead_slots: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    all_alive: bool
    alive_nodes: NDArray[np.bool_]

    def gather(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        """Vectors at ``(n,)`` positions: ``(n, dim)`` float32."""
        size = len(self.segment.vectors)
        inside = positions < size
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
        inside = np.minimum(positions, len(self.segment.vectors) - 1)
        starts = self.segment.starts[inside]
        sizes = np.where(positions < len(self.segment.vectors), self.segment.starts[inside + 1] - starts, 0)
        slots, owners = _spread(starts, sizes)
        living = ~self.dead_slots[slots]
        rows, owners = _first_of_each(self.segment.rows[slots[living]], owners[living], limit)
        starts = np.searchsorted(self.tail.live_positions, positions, side="left")
        sizes = np.searchsorted(self.tail.live_positions, positions, side="right") - starts
        places, fresh_owners = _spread(starts, np.minimum(sizes, limit))
        return np.concatenate([rows, self.tail.live_rows[places]]), np.concatenate([owners, fresh_owners])


def load_snapshot(connection: apsw.Connection, layout: Layout, previous: Snapshot | None) -> Snapshot | None:
    """The current commit as a snapshot, None before the first; call it inside one transaction.

    previous: an older snapshot: returned while it is current, its segment taken over while that is.

    Raises IndexDamagedError when the segment cannot be opened.
    """
    commit = current_commit(connection)
    if commit is None or (previous is not None and previous.commit.number == commit.number):
        return previous
    if previous is not None and previous.commit.generation == commit.generation:
        return _assemble(connection, commit, previous.segment)
    return _assemble(connection, commit, load_segment(connection, layout))


def load_segment(connection: apsw.Connection, layout: Layout) -> Segment:
    """Map the segment that is current in the surrounding transaction."""
    description = describe_segment(connection, layout)
    return Segment.open(layout.segment(description.generation), description)


def describe_segment(connection: apsw.Connection, layout: Layout) -> SegmentDescription:
    """What the store says of the current segment; raises IndexDamagedError where it says nothing."""
    text = connection.execute("SELECT description FROM segments").get
    try:
        return msgspec.json.decode(text or "", type=SegmentDescription)
    except msgspec.DecodeError as error:
        raise IndexDamagedError(f"{layout.store} does not describe its segment: restore the index") from error


def _assemble(connection: apsw.Connection, commit: Commit, segment: Segment) -> Snapshot:
    dead_slots = _dead_slots(connection, segment)
    tail = _load_tail(connection, segment, commit.schema.dimension)
    size = len(segment.vectors)
    counts = np.zeros(size + len(tail.vectors), dtype=np.int64)
    counts[:size] = np.diff(segment.starts)
    dying = segment.positions_of_slots(np.flatnonzero(dead_slots))
    counts -= np.bincount(dying, minlength=len(counts))
    counts += np.bincount(tail.live_positions, minlength=len(counts))
    alive = counts > 0
    nodes = np.empty(0, dtype=np.bool_) if segment.graph is None else segment.graph.twins.alive(alive[:size])
    return Snapshot(commit, segment, tail, dead_slots, alive, bool(alive[:size].all()), nodes)


def _dead_slots(connection: apsw.Connection, segment: Segment) -> NDArray[np.bool_]:
    description = segment.description
    died = connection.execute(
        "SELECT row FROM documents WHERE died > ? AND row <= ?", (description.commit, description.last_row)
    )
    slots = segment.slots_of(np.fromiter((row for (row,) in died), dtype=np.int64))
    if (slots < 0).any():
        raise IndexDamagedError(f"segment {description.generation} lacks documents of the store: build the index again")
    dead = np.zeros(description.documents, dtype=np.bool_)
    dead[slots] = True
    return dead


def _load_tail(connection: apsw.Connection, segment: Segment, dimension: int) -> Tail:
    last_row = segment.description.last_row
    numbers, vectors = _fresh_vectors(connection, last_row, dimension)
    found = connection.execute(
        "SELECT row, vector, died IS NULL FROM documents WHERE row > ? ORDER BY id DESC", (last_row,)
    ).fetchall()
    rows, vector_of, living = np.array(found, dtype=np.int64).reshape(-1, 3).T
    positions = segment.positions_of(vector_of)
    outside = positions < 0
    places = np.searchsorted(numbers, vector_of[outside])
    if not np.isin(vector_of[outside], numbers).all():
        raise IndexDamagedError("documents of the index have lost their vectors: build the index again")
    positions[outside] = places + len(segment.vectors)
    by_row = np.argsort(rows)
    alive = living.astype(np.bool_)
    grouped = np.argsort(positions[alive], kind="stable")
    return Tail(rows[by_row], positions[by_row], rows[alive][grouped], positions[alive][grouped], vectors)


def _fresh_vectors(
    connection: apsw.Connection, last_row: int, dimension: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    found = connection.execute(
        "SELECT vector, data FROM fresh WHERE vector IN (SELECT vector FROM documents WHERE row > ?) ORDER BY vector",
        (last_row,),
    ).fetchall()
    numbers = np.array([number for number, _ in found], dtype=np.int64)
    vectors = np.empty((len(found), dimension), dtype=np.float32)
    for place, (_, data) in enumerate(found):
        vectors[place] = np.frombuffer(data, dtype="<f4")  # type: ignore[arg-type]
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
