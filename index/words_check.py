"""What ``verify`` asks of the table ``words``: that it says what the evidence does."""

from __future__ import annotations

import apsw
import numpy as np

from ..errors import IndexDamagedError
from .evidence_files import BLOCK_ENTRIES, Counted
from .evidence_rows import evidence_between
from .snapshot import Snapshot
from .words import counted, held, is_lexical

_LACKING = """
SELECT count(*) FROM documents
WHERE died IS NULL AND NOT EXISTS (SELECT 1 FROM words_docsize WHERE id = vector)
"""
_WHOLE = (-(2**63), 2**63 - 1)


def check_words(connection: apsw.Connection, snapshot: Snapshot) -> None:
    """Raise IndexDamagedError where the table lacks documents, or counts a term otherwise than they hold it."""
    if not is_lexical(snapshot.commit):
        return
    if lacking := connection.execute(_LACKING).get:
        raise IndexDamagedError(f"the store's table words lacks {lacking} documents: twinbert index rebuild mends it")
    terms, times = counted(connection)
    expected = _expected(connection, snapshot)
    if not (np.array_equal(terms, expected.terms) and np.array_equal(times, expected.times)):
        raise IndexDamagedError(
            "the store's table words holds other terms than documents: twinbert index rebuild mends it"
        )


def _expected(connection: apsw.Connection, snapshot: Snapshot) -> Counted:
    """In how many of the table's vectors each term comes, by their evidence."""
    numbers, schema, stored = held(connection), snapshot.commit.schema.evidence, snapshot.segment.evidence
    found = Counted()
    if schema is None or stored is None:
        return found
    positions = snapshot.segment.positions_of(numbers)
    inside = positions[positions >= 0]
    for start in range(0, len(inside), BLOCK_ENTRIES):
        terms = stored.entries.take(inside[start : start + BLOCK_ENTRIES]).terms
        found.add(terms, np.ones(len(terms), dtype=np.int64))
    fresh, entries = evidence_between(connection, *_WHOLE, schema)
    places = np.flatnonzero(np.isin(fresh, numbers[positions < 0]))
    terms = entries.take(places).terms
    found.add(terms, np.ones(len(terms), dtype=np.int64))
    return found
