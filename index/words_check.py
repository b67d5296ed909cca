"""What ``verify`` asks of the table ``words``: that it says what the evidence does."""

from __future__ import annotations

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .evidence import Entries
from .evidence_files import BLOCK_ENTRIES, Counted
from .evidence_rows import evidence_between
from .snapshot import Snapshot
from .words import counted, held, holding, is_lexical

_LACKING = """
SELECT count(*) FROM documents
WHERE died IS NULL AND NOT EXISTS (SELECT 1 FROM words_docsize WHERE id = vector)
"""
_OTHER = "the store's table words holds other terms than documents: twinbert index rebuild mends it"
_BLOCK_TERMS = 1_000
_WHOLE = (-(2**63), 2**63 - 1)


def check_words(connection: apsw.Connection, snapshot: Snapshot) -> None:
    """Raise IndexDamagedError where the table lacks documents, or finds others by a term than those that hold it."""
    if not is_lexical(snapshot.commit):
        return
    if lacking := connection.execute(_LACKING).get:
        raise IndexDamagedError(f"the store's table words lacks {lacking} documents: twinbert index rebuild mends it")
    times, sums = _expected(connection, snapshot)
    terms, held_by = counted(connection)
    if not np.array_equal(terms, times.terms) or not np.array_equal(held_by, times.times):
        raise IndexDamagedError(_OTHER)
    for start in range(0, len(terms), _BLOCK_TERMS):
        found = [numbers.sum() for numbers in holding(connection, terms[start : start + _BLOCK_TERMS].tolist())]
        if not np.array_equal(found, sums.times[start : start + _BLOCK_TERMS]):
            raise IndexDamagedError(_OTHER)


def _expected(connection: apsw.Connection, snapshot: Snapshot) -> tuple[Counted, Counted]:
    """How many of the table's vectors hold each term, by their evidence, and the sum of their numbers."""
    numbers, schema, stored = held(connection), snapshot.commit.schema.evidence, snapshot.segment.evidence
    times, sums = Counted(), Counted()

    def count(numbers: NDArray[np.int64], entries: Entries) -> None:
        times.add(entries.terms, np.ones(len(entries.terms), dtype=np.int64))
        sums.add(entries.terms, np.repeat(numbers, np.diff(entries.term_starts)))

    if schema is None or stored is None:
        return times, sums
    positions = snapshot.segment.positions_of(numbers)
    inside = positions[positions >= 0]
    for start in range(0, len(inside), BLOCK_ENTRIES):
        some = inside[start : start + BLOCK_ENTRIES]
        count(snapshot.segment.numbers[some], stored.entries.take(some))
    fresh, entries = evidence_between(connection, *_WHOLE, schema)
    places = np.flatnonzero(np.isin(fresh, numbers[positions < 0]))
    count(fresh[places], entries.take(places))
    return times, sums
