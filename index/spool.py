"""Vectors that a build has staged: rows of one plain file, so that loading many costs little more than writing them.

The file is an array as NumPy stores it, whose header is completed when a segment takes the whole file over. The store's
table ``spool`` says which rows count: blocks, each with its keys and a hash. Bytes beyond the last block are of no
account: somebody was stopped while writing them. The vectors get numbers when the build commits; until then nobody else
sees them.
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
from .arrays import HEADER_BYTES, header
from .evidence import Entries, Evidence, EvidenceSchema
from .evidence_spool import EvidenceSpool
from .layout import Layout
from .options import VECTOR_TYPES
from .records import KEY_BYTES

_BLOCKS = "SELECT place, rows, kind, dimension, keys, hash FROM spool ORDER BY place"
_TABLE = "CREATE TEMP TABLE spooled (key BLOB PRIMARY KEY) STRICT, WITHOUT ROWID"
_NOTE = "INSERT OR IGNORE INTO temp.spooled VALUES (?)"
_ADOPT = "INSERT OR IGNORE INTO vectors VALUES (?, ?)"
_NEXT_NUMBER = "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'vectors'"


@dataclass(frozen=True, slots=True)
class Block:
    """The file's rows from ``place`` on, with their keys, one after the other."""

    place: int
    rows: int
    kind: str
    dimension: int
    keys: bytes
    hash: bytes

    def fits(self, size: int) -> bool:
        """Whether a file of so many bytes can hold it; what a stranger wrote need not make sense."""
        known = self.kind in VECTOR_TYPES.values() and len(self.keys) == self.rows * KEY_BYTES
        if not known or min(self.place, self.rows - 1, self.dimension - 1) < 0:
            return False
        return HEADER_BYTES + (self.place + self.rows) * self.dimension * np.dtype(self.kind).itemsize <= size


class Spool:
    """The staged vectors of the build that holds this connection and LOCK, and their evidence where there is a schema.

    Blocks whose bytes a power loss took are forgotten, so that their vectors are asked for again.
    """

    def __init__(self, connection: apsw.Connection, layout: Layout, schema: EvidenceSchema | None = None) -> None:
        self._connection, self._path = connection, layout.spool
        self._base = 0
        connection.execute(_TABLE)
        with connection:
            for block in faulty_blocks(connection, layout):
                connection.execute("DELETE FROM spool WHERE place = ?", (block.place,))
            self._evidence = None if schema is None else EvidenceSpool(connection, layout.evidence_spool, schema)
        self._blocks = blocks_of(connection)
        self._noted = 0

    @property
    def rows(self) -> int:
        """Rows of the file that may count."""
        return self._blocks[-1].place + self._blocks[-1].rows if self._blocks else 0

    def append(self, keys: Sequence[bytes], vectors: NDArray[np.floating], entries: Entries | None = None) -> None:
        """Add vectors ``(n, dimension)`` of the type to store, in a transaction; a key that is here keeps its own.

        entries: their evidence, where the spool keeps any.
        """
        if not self.rows:  # a file of that name may be a segment's by now
            self._path.unlink(missing_ok=True)
        _write(self._path, self.rows, vectors)
        joined = b"".join(keys)
        block = Block(self.rows, len(keys), vectors.dtype.str, vectors.shape[1], joined, _hash(joined, vectors))
        facts = (block.place, block.rows, block.kind, block.dimension, block.keys, block.hash)
        if self._evidence is not None and entries is not None:
            self._evidence.append(block.place, entries)
        self._connection.execute("INSERT INTO spool VALUES (?, ?, ?, ?, ?, ?)", facts)
        self._blocks.append(block)

    def note(self) -> None:
        """Bring ``temp.spooled``, the keys that are here, up to date."""
        new, self._noted = self._blocks[self._noted :], len(self._blocks)
        self._connection.executemany(_NOTE, ((key,) for block in new for key in _keys(block)))

    def adopt(self) -> None:
        """Number the vectors, in the file's order, inside the transaction that makes the build visible."""
        base = self._base = int(self._connection.execute(_NEXT_NUMBER).get or 1)
        numbered = (
            (base + place, key) for block in self._blocks for place, key in enumerate(_keys(block), start=block.place)
        )
        self._connection.executemany(_ADOPT, numbered)

    def holds(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which numbers are of adopted vectors, ``(n,)``."""
        return (numbers >= self._base) & (numbers < self._base + self.rows)

    def read(self, numbers: NDArray[np.int64]) -> NDArray[np.floating]:
        """Adopted vectors, ``(n,)`` to ``(n, dimension)``."""
        if not len(numbers):
            return np.empty((0, 1), dtype=np.float32)
        return np.asarray(_mapped(self._path, self._blocks)[numbers - self._base])

    def read_evidence(self, numbers: NDArray[np.int64]) -> Entries:
        """Evidence of adopted vectors, ``(n,)`` ascending, of which there must be some."""
        return Evidence.empty(0, 0) if self._evidence is None else self._evidence.read(numbers - self._base)

    def take_over(self, target: Path, numbers: NDArray[np.int64]) -> bool:
        """Make the file itself ``target`` where it holds exactly the vectors ``numbers``; else do nothing."""
        if not self.rows or not np.array_equal(numbers, np.arange(self._base, self._base + self.rows)):
            return False
        last = self._blocks[-1]
        with self._path.open("r+b") as file:
            file.write(header(last.kind, (self.rows, last.dimension)))
            file.truncate(HEADER_BYTES + self.rows * last.dimension * np.dtype(last.kind).itemsize)
        try:
            os.link(self._path, target)
        except OSError:  # a file system without hard links: the caller copies
            return False
        return True

    def clear(self) -> None:
        """Forget the blocks, inside the transaction that makes a segment with their vectors current."""
        forget_spooled(self._connection)


def forget_spooled(connection: apsw.Connection) -> None:
    """Let the files count for nothing any more."""
    connection.execute("DELETE FROM spool")
    connection.execute("DELETE FROM evidence_spool")


def blocks_of(connection: apsw.Connection) -> list[Block]:
    """What the store says of the file."""
    return [Block(*row) for row in connection.execute(_BLOCKS)]


def faulty_blocks(connection: apsw.Connection, layout: Layout) -> list[Block]:
    """Blocks that do not match their hash."""
    return list(_faulty(layout.spool, blocks_of(connection)))


def remove_unused(connection: apsw.Connection, layout: Layout) -> None:
    """Remove files that the store does not name any more."""
    for path, noted in (
        (layout.spool, "SELECT 1 FROM spool LIMIT 1"),
        (layout.evidence_spool, "SELECT 1 FROM evidence_spool LIMIT 1"),
    ):
        if path.exists() and connection.execute(noted).get is None:
            path.unlink()


def _keys(block: Block) -> Iterator[bytes]:
    return (block.keys[start : start + KEY_BYTES] for start in range(0, len(block.keys), KEY_BYTES))


def _faulty(path: Path, blocks: list[Block]) -> Iterator[Block]:
    size = path.stat().st_size if path.is_file() else 0
    for block in blocks:
        if not block.fits(size) or _hash(block.keys, _mapped(path, [block])[block.place :]) != block.hash:
            yield block


def _mapped(path: Path, blocks: list[Block]) -> NDArray[np.floating]:
    last = blocks[-1]
    shape = (last.place + last.rows, last.dimension)
    try:
        return np.memmap(path, dtype=last.kind, mode="r", offset=HEADER_BYTES, shape=shape)
    except (OSError, ValueError) as error:
        raise IndexDamagedError(f"{path} has lost staged vectors ({error}): resume the build") from error


def _write(path: Path, place: int, vectors: NDArray[np.floating]) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    with os.fdopen(descriptor, "r+b") as file:
        file.seek(HEADER_BYTES + place * vectors.shape[1] * vectors.itemsize)
        file.write(vectors.data)


def _hash(keys: bytes, vectors: NDArray[np.floating]) -> bytes:
    digest = hashlib.blake2b(keys, digest_size=16)
    digest.update(np.ascontiguousarray(vectors).data)
    return digest.digest()
