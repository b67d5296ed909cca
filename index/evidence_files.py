"""Writes the evidence of one segment, a block of vectors at a time, and counts the documents of each term."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .arrays import ArrayFile
from .evidence import COUNT, PART, TERM, Entries, EvidenceSchema
from .evidence_map import (
    COUNTS,
    FREQUENCIES,
    LENGTHS,
    PART_STARTS,
    PARTS,
    TERM_STARTS,
    TERMS,
    VOCABULARY,
)
from .evidence_rows import evidence_between, not_of_this_kind
from .segment import SegmentRequest

BLOCK_ENTRIES = 4_096
"""Entries held in memory at once."""


def write_evidence(
    connection: apsw.Connection,
    folder: Path,
    numbers: NDArray[np.int64],
    documents: NDArray[np.int64],
    request: SegmentRequest,
) -> None:
    """Write the evidence of the vectors ``numbers``, ``(n,)`` ascending, where the schema has any.

    documents: ``(n,)`` int64, how many live ones each vector has.

    Raises InvalidInputError where a vector has evidence of another kind, IndexDamagedError for evidence that does not
    match its hash.
    """
    schema = request.commit.schema.evidence
    _check_kinds(connection, numbers, request)
    if schema is None:
        return
    counted = Counted()
    with ExitStack() as stack:
        files = {name: stack.enter_context(ArrayFile(folder / name, *kind)) for name, kind in _kinds(schema).items()}
        ends = {TERM_STARTS: 0, PART_STARTS: 0}
        for name in ends:
            files[name].append(np.zeros(1, dtype=np.int64))
        for start in range(0, len(numbers), BLOCK_ENTRIES):
            entries = _gathered(connection, numbers[start : start + BLOCK_ENTRIES], request, schema)
            for name, array in ((TERMS, entries.terms), (COUNTS, entries.counts), (PARTS, entries.parts)):
                files[name].append(array)
            files[LENGTHS].append(entries.lengths)
            for name, starts in ((TERM_STARTS, entries.term_starts), (PART_STARTS, entries.part_starts)):
                files[name].append(ends[name] + starts[1:])
                ends[name] += int(starts[-1])
            times = np.repeat(documents[start : start + BLOCK_ENTRIES], np.diff(entries.term_starts))
            counted.add(entries.terms, times)
    np.save(folder / VOCABULARY, counted.terms)
    np.save(folder / FREQUENCIES, counted.times)


def distinct_terms(folder: Path) -> int:
    """How many the vocabulary in ``folder`` has, 0 without one."""
    path = folder / VOCABULARY
    return len(np.load(path, mmap_mode="r", allow_pickle=False)) if path.exists() else 0


class Counted:
    """How often each term came, in all that was added: ``(v,)`` uint32 ascending, and ``(v,)`` int64."""

    def __init__(self) -> None:
        self._terms, self._times = np.empty(0, dtype=TERM), np.empty(0, dtype=np.int64)
        self._waiting: list[tuple[NDArray[np.uint32], NDArray[np.int64]]] = []
        self._size = 0

    @property
    def terms(self) -> NDArray[np.uint32]:
        """All that came."""
        self._merge()
        return self._terms

    @property
    def times(self) -> NDArray[np.int64]:
        """How often each of them."""
        self._merge()
        return self._times

    def add(self, terms: NDArray[np.uint32], times: NDArray[np.int64]) -> None:
        """Count ``(t,)`` terms in any order, each so many times."""
        distinct, sums = summed(terms, times)
        self._waiting.append((distinct, sums))
        self._size += len(distinct)
        if self._size > len(self._terms):  # so that each merge pays for itself
            self._merge()

    def _merge(self) -> None:
        if self._waiting:
            terms = [self._terms, *(terms for terms, _ in self._waiting)]
            times = [self._times, *(times for _, times in self._waiting)]
            self._terms, self._times = summed(np.concatenate(terms), np.concatenate(times))
            self._waiting, self._size = [], 0


def summed(terms: NDArray[np.uint32], times: NDArray[np.int64]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The distinct terms, ascending, and the sum of the times of each."""
    order = np.argsort(terms, kind="stable")
    ordered = terms[order]
    firsts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else np.empty(0, np.int64)
    sums = np.add.reduceat(times[order], firsts) if len(firsts) else np.empty(0, np.int64)
    return ordered[firsts], sums


def _kinds(schema: EvidenceSchema) -> dict[str, tuple[str, int | None]]:
    return {
        TERMS: (TERM, None),
        COUNTS: (COUNT, None),
        TERM_STARTS: ("<i8", None),
        LENGTHS: ("<i4", None),
        PARTS: (PART, schema.part_width),
        PART_STARTS: ("<i8", None),
    }


def _check_kinds(connection: apsw.Connection, numbers: NDArray[np.int64], request: SegmentRequest) -> None:
    """A vector that is to be in this segment must not have evidence of another kind anywhere: undoing may need it."""
    previous, schema = request.previous, request.commit.schema.evidence
    shared = 0
    if previous is not None and previous.description.evidence != schema:
        shared = int(np.count_nonzero(previous.positions_of(numbers) >= 0))
    if schema is None:
        fresh = [number for (number,) in connection.execute("SELECT vector FROM evidence")]
        shared += int(np.count_nonzero(np.isin(numbers, fresh)))
    if shared:
        raise InvalidInputError(
            f"{shared} vectors are in the index with evidence of another kind: hash its note into vector keys"
        )


def _gathered(
    connection: apsw.Connection, wanted: NDArray[np.int64], request: SegmentRequest, schema: EvidenceSchema
) -> Entries:
    previous, spool = request.previous, request.spool
    places = np.full(len(wanted), -1, dtype=np.int64)
    several: list[Entries] = []

    def found(which: NDArray[np.int64], entries: Entries) -> None:
        if len(which):  # what has none of these may have parts of another width
            places[which] = sum(len(one) for one in several) + np.arange(len(which))
            several.append(entries)

    if previous is not None and previous.evidence is not None:
        positions = previous.positions_of(wanted)
        found(np.flatnonzero(positions >= 0), previous.evidence.entries.take(positions[positions >= 0]))
    if spool is not None and (staged := np.flatnonzero(spool.holds(wanted))).size:
        found(staged, spool.read_evidence(wanted[staged]))
    numbers, entries = evidence_between(connection, int(wanted[0]), int(wanted[-1]), schema)
    _, of_wanted, of_fresh = np.intersect1d(wanted, numbers, assume_unique=True, return_indices=True)
    found(of_wanted, entries.take(of_fresh))
    if (places < 0).any():
        raise not_of_this_kind(int(np.count_nonzero(places < 0)), f"number {wanted[places < 0][0]}")
    return Entries.joined(several, schema.part_width).take(places)
