"""Evidence of vectors that a build has staged: blocks in one plain file, beside ``spool``'s and like it.

The table ``evidence_spool`` says where each block lies, of how many entries it is, and its hash; it belongs to the
block of vectors of the same place. A block is the sizes of its entries in terms and in parts, the terms, their counts,
and the parts, one after the other.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .evidence import COUNT, PART, TERM, Entries, EvidenceSchema, starts_of
from .tables import has_table

_SIZE = "<u4"
_BLOCKS = "SELECT place, start, entries, terms, parts, width, mark, hash FROM evidence_spool ORDER BY place"
_HALVES = (
    "DELETE FROM evidence_spool WHERE (place, entries) NOT IN (SELECT place, rows FROM spool)",
    "DELETE FROM spool WHERE (place, rows) NOT IN (SELECT place, entries FROM evidence_spool)",
)


@dataclass(frozen=True, slots=True)
class EvidenceBlock:
    """The entries of the vectors from ``place`` on, at ``start`` bytes of the file."""

    place: int
    start: int
    entries: int
    terms: int
    parts: int
    width: int
    mark: bytes
    hash: bytes

    @property
    def facts(self) -> tuple[int | bytes, ...]:
        """All but the hash, which covers them too: a flipped bit here would else give evidence of other vectors."""
        return self.place, self.start, self.entries, self.terms, self.parts, self.width, self.mark

    @property
    def size(self) -> int:
        """Bytes of it."""
        head = 2 * self.entries * np.dtype(_SIZE).itemsize
        return head + self.terms * (np.dtype(TERM).itemsize + np.dtype(COUNT).itemsize) + self.parts * self.width

    def read(self, path: Path) -> bytes:
        """Its bytes; fewer, or none, where the file has lost them or the store cannot be right."""
        facts = (self.place, self.start, self.entries, self.terms, self.parts, self.width)
        if min(facts) < 0 or not path.is_file() or self.start + self.size > path.stat().st_size:
            return b""
        with path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)

    def entries_of(self, data: bytes) -> Entries:
        """The entries that its bytes say; raises ValueError where they are cut."""
        counts = (self.entries, self.entries, self.terms, self.terms, self.parts * self.width)
        arrays, start = [], 0
        for kind, count in zip((_SIZE, _SIZE, TERM, COUNT, PART), counts, strict=True):
            arrays.append(np.frombuffer(data, dtype=kind, count=count, offset=start))
            start += count * np.dtype(kind).itemsize
        term_sizes, part_sizes, terms, times, parts = arrays
        rows = parts.reshape(self.parts, self.width)
        return Entries(starts_of(term_sizes), terms, times, starts_of(part_sizes), rows)


class EvidenceSpool:
    """The staged evidence of the build that holds this connection and LOCK.

    To be made in a transaction: of vectors and evidence whose other half is lost, both are forgotten.
    """

    def __init__(self, connection: apsw.Connection, path: Path, schema: EvidenceSchema) -> None:
        self._connection, self._path, self._schema = connection, path, schema
        for block in faulty_evidence(path, evidence_blocks(connection)):
            connection.execute("DELETE FROM evidence_spool WHERE place = ?", (block.place,))
        for statement in _HALVES:
            connection.execute(statement)
        self._blocks = evidence_blocks(connection)

    def append(self, place: int, entries: Entries) -> None:
        """Add the evidence of the vectors from ``place`` on, in the transaction that notes them."""
        start = self._blocks[-1].start + self._blocks[-1].size if self._blocks else 0
        data = _bytes(entries)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b") as file:
            file.seek(start)
            file.write(data)
        counts = (len(entries), len(entries.terms), len(entries.parts), self._schema.part_width)
        facts = (place, start, *counts, self._schema.mark)
        row = (*facts, _hash(facts, data))
        self._connection.execute("INSERT INTO evidence_spool VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        self._blocks.append(EvidenceBlock(*row))

    def read(self, places: NDArray[np.int64]) -> Entries:
        """The evidence of the vectors at ``(n,)`` ascending places.

        Raises IndexDamagedError where the file has lost it since it was looked at.
        """
        starts = np.array([block.place for block in self._blocks], dtype=np.int64)
        of_block = np.searchsorted(starts, places, side="right") - 1
        used, which = np.unique(of_block, return_inverse=True)
        blocks = [self._blocks[number] for number in used.tolist()]
        try:
            several = [block.entries_of(block.read(self._path)) for block in blocks]
            before = starts_of([len(one) for one in several])[:-1]
            return Entries.joined(several, self._schema.part_width).take(before[which] + places - starts[of_block])
        except (ValueError, IndexError) as error:
            raise IndexDamagedError(f"{self._path} has lost staged evidence ({error}): resume the build") from error


def evidence_blocks(connection: apsw.Connection) -> list[EvidenceBlock]:
    """What the store says of the file; nothing where it is of version 2."""
    if not has_table(connection, "evidence_spool"):
        return []
    return [EvidenceBlock(*row) for row in connection.execute(_BLOCKS)]


def faulty_evidence(path: Path, blocks: Sequence[EvidenceBlock]) -> Iterator[EvidenceBlock]:
    """Blocks that do not match their hash."""
    for block in blocks:
        data = block.read(path)
        if len(data) < block.size or _hash(block.facts, data) != block.hash:
            yield block


def _bytes(entries: Entries) -> bytes:
    sizes = (np.diff(entries.term_starts).astype(_SIZE), np.diff(entries.part_starts).astype(_SIZE))
    arrays = (*sizes, entries.terms.astype(TERM, copy=False), entries.counts.astype(COUNT, copy=False), entries.parts)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def _hash(facts: Sequence[int | bytes], data: bytes) -> bytes:
    digest = hashlib.blake2b(repr(tuple(facts)).encode(), digest_size=16)
    digest.update(data)
    return digest.digest()
