"""What BM25 must know of all documents that live at one commit: how many there are, how long, how many hold a term.

A segment has counted its own; what has died since and what is in the tail is counted when somebody first asks, and
then only what differs from the last commit that was asked about.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .evidence_map import StoredEvidence
from .segment import Segment
from .tail import Tail, entries_at

_BLOCK = 8_192
"""Documents counted at once."""


@dataclass(slots=True)
class _Counted:
    """What live documents have beyond the segment's own.

    dead_slots, tail: what was counted. length: of all live documents. frequencies: ``(v,)`` int64 to add to the
    segment's, term by term of its vocabulary; others: those of terms that it lacks.
    """

    dead_slots: NDArray[np.bool_]
    tail: Tail | None
    length: int
    frequencies: NDArray[np.int64]
    others: dict[int, int] = field(default_factory=dict)


class Statistics:
    """Of the live documents of one commit; safe to share between threads.

    dead_slots: ``(m,)`` True for the segment's documents that have died. documents: how many live.
    before: those of an earlier commit with the same segment.
    """

    def __init__(
        self,
        segment: Segment,
        stored: StoredEvidence,
        tail: Tail,
        dead_slots: NDArray[np.bool_],
        documents: int,
        before: Statistics | None,
    ) -> None:
        self._segment, self._stored, self._tail = segment, stored, tail
        self._dead_slots, self._before = dead_slots, None if before is None else before._last
        self._counted: _Counted | None = None
        self._lock = threading.Lock()
        self.documents = documents

    @property
    def length(self) -> int:
        """Sum of the lengths of all documents."""
        return self._count().length

    def frequencies(self, terms: NDArray[np.uint32]) -> NDArray[np.int64]:
        """How many documents hold each of ``(q,)`` terms."""
        counted, vocabulary = self._count(), self._stored.vocabulary
        places, known = _places(vocabulary, terms)
        found = np.zeros(len(terms), dtype=np.int64)
        found[known] = self._stored.frequencies[places[known]] + counted.frequencies[places[known]]
        for place in np.flatnonzero(~known).tolist():
            found[place] = counted.others.get(int(terms[place]), 0)
        return found

    @property
    def _last(self) -> _Counted | None:
        """What was counted for this commit or, before somebody asked, for the one before it."""
        before = self._before  # read first: another thread may be counting
        return self._counted or before

    def _count(self) -> _Counted:
        with self._lock:
            if self._counted is None:
                self._counted, self._before = self._made(self._before), None
            return self._counted

    def _made(self, before: _Counted | None) -> _Counted:
        size = len(self._stored.vocabulary)
        if before is None:
            alone = np.zeros(len(self._dead_slots), dtype=np.bool_)
            length = int(self._stored.lengths.astype(np.int64) @ np.diff(self._segment.starts))
            before = _Counted(alone, None, length, np.zeros(size, dtype=np.int64))
        made = _Counted(self._dead_slots, self._tail, before.length, before.frequencies.copy(), dict(before.others))
        died = np.flatnonzero(self._dead_slots & ~before.dead_slots)
        self._add(made, self._tail, self._segment.positions_of_slots(died), -1)
        rows = np.empty(0, dtype=np.int64) if before.tail is None else before.tail.live_rows
        born = ~np.isin(self._tail.live_rows, rows)
        self._add(made, self._tail, self._tail.live_positions[born], 1)
        if before.tail is not None:
            gone = ~np.isin(rows, self._tail.live_rows)
            self._add(made, before.tail, before.tail.live_positions[gone], -1)
        return made

    def _add(self, counted: _Counted, tail: Tail, positions: NDArray[np.int64], sign: int) -> None:
        """Count documents in or out, one for each of ``(n,)`` positions."""
        for start in range(0, len(positions), _BLOCK):
            entries = entries_at(self._segment, tail, positions[start : start + _BLOCK])
            counted.length += sign * int(entries.lengths.sum(dtype=np.int64))
            terms, times = np.unique(entries.terms, return_counts=True)
            places, known = _places(self._stored.vocabulary, terms)
            counted.frequencies[places[known]] += sign * times[known]
            for term, number in zip(terms[~known].tolist(), times[~known].tolist(), strict=True):
                counted.others[term] = counted.others.get(term, 0) + sign * number


def _places(vocabulary: NDArray[np.uint32], terms: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where each of ``(q,)`` terms stands in a vocabulary, and whether it does."""
    if not len(vocabulary):
        return np.zeros(len(terms), dtype=np.int64), np.zeros(len(terms), dtype=np.bool_)
    places = np.minimum(np.searchsorted(vocabulary, terms), len(vocabulary) - 1)
    return places, vocabulary[places] == terms
