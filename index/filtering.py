"""Conditions on documents, asked at exactly the commit that is searched: a snapshot in which nothing else lives."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError, InvalidInputError
from .layout import Layout
from .readonly import ReadConnection
from .snapshot import Snapshot
from .store import Commit, current_commit

_log = logging.getLogger(__name__)
KEPT_BYTES = 64 << 20
"""Memory that remembered selections of the last commit may take; the one used last stays in any case."""
KEPT = 256
"""How many, at most."""
_MATCHING = "SELECT group_concat(row) FROM documents WHERE died IS NULL AND ({condition})"


@dataclass(frozen=True, slots=True)
class Condition:
    """Which documents count.

    sql: an expression over a row of ``documents``, true where it counts: made of ``kind_at``, ``value_at`` and
        ``entries_at``, with a ``?`` for every value.
    values: what the ``?`` stand for, in their order.
    """

    sql: str
    values: tuple[str | int | float, ...] = ()


class Selections:
    """The last commit's snapshot, narrowed to what a condition is true for; safe to share between threads.

    current: gives the snapshot of the last commit.

    The documents are looked for on a connection of its own, so that searches without a condition do not wait.
    """

    def __init__(self, layout: Layout, current: Callable[[], Snapshot]) -> None:
        self._layout = layout
        self._current = current
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._store: ReadConnection | None = None
        self._whole: Snapshot | None = None
        self._kept: OrderedDict[Condition, Snapshot] = OrderedDict()

    def narrowed(self, where: Condition) -> Snapshot:
        """The snapshot of the last commit in which only documents that match live; asked once for each commit.

        Raises InvalidInputError for a condition that cannot be asked, IndexUnfinishedError before the first commit.
        """
        before: Snapshot | None = None
        while (snapshot := self._current()) is not before:
            found = self._known(snapshot, where)
            if found is None:
                with self._asking:
                    found = self._known(snapshot, where) or self._ask(snapshot, where)
            if found is not None:
                return found
            before = snapshot
        raise IndexFolderError(f"{self._layout.folder} was replaced by another index: open it again")

    def close(self) -> None:
        """Let go of the store."""
        with self._asking:
            if self._store is not None:
                self._store.close()

    def _known(self, snapshot: Snapshot, where: Condition) -> Snapshot | None:
        with self._lock:
            if self._whole is not snapshot or where not in self._kept:
                return None
            self._kept.move_to_end(where)
            return self._kept[where]

    def _ask(self, snapshot: Snapshot, where: Condition) -> Snapshot | None:
        """None when another commit was made since the snapshot's."""
        if self._store is None:
            self._store = ReadConnection(self._layout)
        begun = time.perf_counter()
        rows = self._store.read(lambda connection: _matching(connection, snapshot.commit, where))
        if rows is None:
            return None
        found = narrowed(snapshot, rows)
        _log.debug(
            "%d documents match, found in %.1f ms: %s", len(rows), 1e3 * (time.perf_counter() - begun), where.sql
        )
        with self._lock:
            if self._whole is not snapshot:
                self._whole, self._kept = snapshot, OrderedDict()
            self._kept[where] = found
            while len(self._kept) > 1 and (len(self._kept) > KEPT or _bytes(self._kept.values()) > KEPT_BYTES):
                self._kept.popitem(last=False)
        return found


def narrowed(snapshot: Snapshot, rows: NDArray[np.int64]) -> Snapshot:
    """The snapshot as if only the documents at ``rows``, ``(n,)`` int64, lived.

    Raises IndexDamagedError when it holds no such document.
    """
    segment, tail = snapshot.segment, snapshot.tail
    slots = segment.slots_of(np.sort(rows))
    chosen = np.zeros(len(snapshot.dead_slots), dtype=np.bool_)
    chosen[slots[slots >= 0]] = True
    fresh = np.isin(tail.live_rows, rows)
    if np.count_nonzero(chosen & ~snapshot.dead_slots) + np.count_nonzero(fresh) != len(rows):
        raise IndexDamagedError(
            f"segment {segment.description.generation} lacks documents of the store: twinbert index rebuild mends it"
        )
    living = replace(tail, live_rows=tail.live_rows[fresh], live_positions=tail.live_positions[fresh])
    return Snapshot.of(snapshot.commit, segment, living, ~chosen, snapshot.statistics)


def _matching(connection: apsw.Connection, commit: Commit, where: Condition) -> NDArray[np.int64] | None:
    """Rows of live documents that match; None unless ``commit`` is the last."""
    connection.execute("BEGIN")
    try:
        if current_commit(connection) != commit:
            return None
        text = connection.execute(_MATCHING.format(condition=where.sql), where.values).get
    except apsw.SQLError as error:
        raise InvalidInputError(f"the condition cannot be asked of this index's payloads: {error}") from error
    finally:
        connection.execute("ROLLBACK")
    return np.empty(0, dtype=np.int64) if text is None else np.fromstring(text, dtype=np.int64, sep=",")


def _bytes(kept: Iterable[Snapshot]) -> int:
    """Memory that narrowed snapshots have for themselves."""
    return sum(
        part.nbytes
        for one in kept
        for part in (one.dead_slots, one.alive, one.tail.live_rows, one.tail.live_positions, one.selector)
        if part is not None
    )
