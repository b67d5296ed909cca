"""Evidence: what a second look at documents needs of them, kept beside their vectors so that no text is read for it.

Of each vector: its *terms*, numbers that the caller gave to words, with how often each comes; and its *parts*, rows of
int8 that the caller made of segments of the text (the word segment is taken here). Both are opaque: the index counts
terms, and hands parts out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .arrays import spread

TERM, COUNT, PART = "<u4", "<u2", "|i1"
"""NumPy's names of what terms, counts and parts are made of."""
_WIDEST = 1 << 20
_LONGEST = 2**31 - 1
"""Sum of the counts of one entry: what ``lengths.npy`` can hold."""


@dataclass(frozen=True, slots=True)
class EvidenceSchema:
    """What the evidence of an index is.

    note: the caller's note of how it was made; opaque here, JSON by convention. Like the vector space it belongs into
        vector keys: evidence that was made otherwise is never mixed with this one.
    part_width: bytes of one part, 0 where there are none.

    Raises InvalidInputError for a width that is none.
    """

    note: str
    part_width: int

    def __post_init__(self) -> None:
        if not 0 <= self.part_width <= _WIDEST:
            raise InvalidInputError(f"part_width must be between 0 and {_WIDEST}, not {self.part_width!r}")

    @property
    def mark(self) -> bytes:
        """BLAKE2b-128 of it: what tells stored evidence of this kind from any other."""
        return hashlib.blake2b(b"%d:%b" % (self.part_width, self.note.encode()), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Entries:
    """Evidence of n vectors, one entry each, known to be sound.

    Entry i has the terms and counts from ``term_starts[i]`` to ``term_starts[i + 1]``, and likewise its parts.

    term_starts, part_starts: ``(n + 1,)`` int64. terms: ``(t,)`` uint32, ascending and distinct within an entry.
    counts: ``(t,)`` uint16, at least 1. parts: ``(p, part_width)`` int8.
    """

    term_starts: NDArray[np.int64]
    terms: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    part_starts: NDArray[np.int64]
    parts: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.term_starts) - 1

    @property
    def lengths(self) -> NDArray[np.int32]:
        """Sum of the counts of each entry, ``(n,)``."""
        totals = np.append(0, np.cumsum(self.counts, dtype=np.int64))
        sums: NDArray[np.int32] = (totals[self.term_starts[1:]] - totals[self.term_starts[:-1]]).astype(np.int32)
        return sums

    def take(self, places: NDArray[np.int64]) -> Entries:
        """The entries at ``(m,)`` places, in that order."""
        term_starts, terms = _taken(self.term_starts, places)
        part_starts, parts = _taken(self.part_starts, places)
        return Entries(term_starts, self.terms[terms], self.counts[terms], part_starts, self.parts[parts])

    def parts_at(self, places: NDArray[np.int64]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Parts of the entries at ``(m,)`` places, and where those of each begin, ``(m + 1,)``."""
        starts, found = _taken(self.part_starts, places)
        return self.parts[found], starts

    def rows(self) -> list[tuple[bytes, bytes]]:
        """Each entry as the store has it: terms and then their counts; parts."""
        terms, counts = self.terms.astype(TERM, copy=False), self.counts.astype(COUNT, copy=False)
        of_terms, of_parts = self.term_starts.tolist(), self.part_starts.tolist()
        return [
            (
                terms[of_terms[n] : of_terms[n + 1]].tobytes() + counts[of_terms[n] : of_terms[n + 1]].tobytes(),
                self.parts[of_parts[n] : of_parts[n + 1]].tobytes(),
            )
            for n in range(len(self))
        ]

    @staticmethod
    def of_rows(rows: Sequence[tuple[bytes, bytes]], width: int) -> Entries:
        """What ``rows`` gave; raises ValueError for what it cannot have given."""
        term_bytes = np.dtype(TERM).itemsize
        sizes = [len(row[0]) // (term_bytes + np.dtype(COUNT).itemsize) for row in rows]
        terms = b"".join(row[0][: size * term_bytes] for row, size in zip(rows, sizes, strict=True))
        counts = b"".join(row[0][size * term_bytes :] for row, size in zip(rows, sizes, strict=True))
        parts = np.frombuffer(b"".join(row[1] for row in rows), dtype=PART)
        held = [len(row[1]) // width if width else 0 for row in rows]
        return Entries(
            starts_of(sizes),
            np.frombuffer(terms, dtype=TERM),
            np.frombuffer(counts, dtype=COUNT),
            starts_of(held),
            parts.reshape(sum(held), width),
        )

    @staticmethod
    def joined(several: Sequence[Entries], width: int) -> Entries:
        """All entries of several, one after the other."""
        if not several:
            return Evidence.empty(0, width)
        return Entries(
            starts_of(np.concatenate([np.diff(one.term_starts) for one in several])),
            np.concatenate([one.terms for one in several]),
            np.concatenate([one.counts for one in several]),
            starts_of(np.concatenate([np.diff(one.part_starts) for one in several])),
            np.concatenate([one.parts for one in several]),
        )


@dataclass(frozen=True, slots=True)
class Evidence(Entries):
    """Evidence of a batch of vectors, as a caller hands it in: entry i belongs to vector i. See ``Entries``.

    Raises InvalidInputError for arrays of another type or shape, terms out of order, or a count of 0.
    """

    def __post_init__(self) -> None:
        for name, dtype, dimensions in (
            ("term_starts", np.int64, 1),
            ("terms", np.uint32, 1),
            ("counts", np.uint16, 1),
            ("part_starts", np.int64, 1),
            ("parts", np.int8, 2),
        ):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != dimensions:
                raise InvalidInputError(f"evidence: {name} must be an array of {np.dtype(dtype)}, {dimensions}-d")
        _check_starts("term_starts", self.term_starts, len(self.terms))
        _check_starts("part_starts", self.part_starts, len(self.parts))
        if len(self.term_starts) != len(self.part_starts):
            raise InvalidInputError("evidence: term_starts and part_starts must be of as many entries")
        self._check_terms()

    def _check_terms(self) -> None:
        if len(self.counts) != len(self.terms) or not self.counts.all():
            raise InvalidInputError("evidence: every term needs its count, of at least 1")
        ascending = self.terms[1:] > self.terms[:-1]
        firsts = self.term_starts[1:-1]
        ascending[firsts[(firsts > 0) & (firsts < len(self.terms))] - 1] = True
        if not ascending.all():
            raise InvalidInputError("evidence: the terms of an entry must ascend, each of them once")
        totals = np.append(0, np.cumsum(self.counts, dtype=np.int64))
        if (totals[self.term_starts[1:]] - totals[self.term_starts[:-1]] > _LONGEST).any():
            raise InvalidInputError(f"evidence: the counts of an entry must sum up to at most {_LONGEST}")

    @classmethod
    def empty(cls, n: int, width: int) -> Evidence:
        """``n`` entries without terms and parts."""
        starts = np.zeros(n + 1, dtype=np.int64)
        nothing = np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.uint16)
        return cls(starts, *nothing, starts, np.empty((0, width), dtype=np.int8))


def check_evidence(evidence: Evidence | None, schema: EvidenceSchema | None, rows: int) -> Evidence | None:
    """Give back what came with ``rows`` vectors; raise InvalidInputError where it is not as ``schema`` says."""
    if schema is None:
        if evidence is not None:
            raise InvalidInputError("this index keeps no evidence: put vectors alone, or build with an EvidenceSchema")
        return None
    if not isinstance(evidence, Evidence):
        raise InvalidInputError("this index keeps evidence: put every vector with its Evidence")
    if len(evidence) != rows or evidence.parts.shape[1] != schema.part_width:
        raise InvalidInputError(
            f"{rows} vectors need {rows} entries of evidence with parts of {schema.part_width} bytes, "
            f"not {len(evidence)} with {evidence.parts.shape[1]}"
        )
    return evidence


def starts_of(sizes: Any) -> NDArray[np.int64]:  # noqa: ANN401 - whatever NumPy takes for a sequence of numbers
    """Where each of so many things begins, and where the last ends: ``(n,)`` to ``(n + 1,)``."""
    return np.append(0, np.cumsum(sizes, dtype=np.int64)).astype(np.int64)


def _taken(starts: NDArray[np.int64], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sizes = starts[places + 1] - starts[places]
    return starts_of(sizes), spread(starts[places], sizes)[0]


def _check_starts(name: str, starts: NDArray[np.int64], end: int) -> None:
    if not len(starts) or starts[0] != 0 or starts[-1] != end or (np.diff(starts) < 0).any():
        raise InvalidInputError(f"evidence: {name} must ascend from 0 to {end}")
