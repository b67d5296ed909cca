"""The evidence of one segment, memory-mapped: entry p belongs to the vector at position p.

::

    terms.npy, counts.npy   (t,) uint32, uint16          parts.npy         (p, part_width) int8
    term_starts.npy         (n + 1,) int64               part_starts.npy   (n + 1,) int64
    lengths.npy             (n,) int32: sum of counts
    vocabulary.npy          (v,) uint32, ascending: every term that comes. Derived, like
    frequencies.npy         (v,) int64: how many of the segment's documents hold it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .arrays import mapped
from .evidence import COUNT, PART, TERM, Entries

TERMS, COUNTS, TERM_STARTS, LENGTHS = "terms.npy", "counts.npy", "term_starts.npy", "lengths.npy"
PARTS, PART_STARTS = "parts.npy", "part_starts.npy"
VOCABULARY, FREQUENCIES = "vocabulary.npy", "frequencies.npy"
EVIDENCE = frozenset({TERMS, COUNTS, TERM_STARTS, LENGTHS, PARTS, PART_STARTS})
"""Files of a segment that has evidence, which nothing else holds."""
COUNTED = frozenset({VOCABULARY, FREQUENCIES})
"""Those that are made from them."""


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """What is mapped. entries: of all vectors; lengths, vocabulary, frequencies: as above."""

    entries: Entries
    lengths: NDArray[np.int32]
    vocabulary: NDArray[np.uint32]
    frequencies: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path, vectors: int, width: int, distinct: int) -> StoredEvidence:
        """Map the files; raises IndexDamagedError naming one of another shape, or that leads out of another.

        width: of a part. distinct: terms of the vocabulary, 0 to leave that out.
        """
        term_starts, terms = _ranges(folder, TERM_STARTS, vectors)
        part_starts, parts = _ranges(folder, PART_STARTS, vectors)
        entries = Entries(
            term_starts,
            mapped(folder / TERMS, TERM, (terms,)),
            mapped(folder / COUNTS, COUNT, (terms,)),
            part_starts,
            mapped(folder / PARTS, PART, (parts, width)),
        )
        return cls(
            entries,
            mapped(folder / LENGTHS, "<i4", (vectors,)),
            mapped(folder / VOCABULARY, TERM, (distinct,)) if distinct else np.empty(0, dtype=TERM),
            mapped(folder / FREQUENCIES, "<i8", (distinct,)) if distinct else np.empty(0, dtype=np.int64),
        )


def _ranges(folder: Path, name: str, vectors: int) -> tuple[NDArray[np.int64], int]:
    starts: NDArray[np.int64] = mapped(folder / name, "<i8", (vectors + 1,))
    if starts[0] != 0 or (np.diff(starts) < 0).any():
        raise IndexDamagedError(f"{folder / name} is damaged: restore it, or mend it by twinbert index rebuild")
    return starts, int(starts[-1])
