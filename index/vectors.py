"""Vectors as they are taken, and as the store holds them until a segment does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .evidence import EvidenceSchema
from .evidence_rows import Row, damaged, forget_evidence, insert, lacking
from .options import VECTOR_TYPES
from .store import transaction

UNIT_TOLERANCE = 1e-3
"""How far from 1 the norm of a vector may be."""


def check_vectors(matrix: NDArray[np.float32], dimension: int) -> NDArray[np.float32]:
    """The matrix as ``(n, dimension)`` contiguous float32; the caller's array is never changed.

    Raises InvalidInputError for another shape, NaN, infinities, or rows whose norm is not 1 within 0.001.
    """
    if matrix.ndim != 2 or matrix.shape[1] != dimension:
        raise InvalidInputError(f"vectors must have the shape (n, {dimension}) of this index, not {matrix.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    wrong = np.flatnonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE))
    if len(wrong):
        raise InvalidInputError(
            f"vector {wrong[0]} has the norm {norms[wrong[0]]:.6g}: hand in unit vectors without NaN"
        )
    return np.ascontiguousarray(matrix, dtype="<f4")


def from_blob(data: bytes, dimension: int) -> NDArray[np.floating]:
    """A stored vector, ``(dimension,)`` float32 or float16 by its length; raises InvalidInputError for another one."""
    for kind in VECTOR_TYPES.values():
        if len(data) == dimension * np.dtype(kind).itemsize:
            return np.frombuffer(data, dtype=kind)
    raise InvalidInputError(
        f"a vector key names a vector of {len(data)} bytes, not of {dimension} dimensions: hash the space into keys"
    )


def store_vectors(
    connection: apsw.Connection,
    keys: Sequence[bytes],
    vectors: NDArray[np.floating],
    evidence: Sequence[Row] | None,
    *,
    again: bool,
) -> None:
    """Keep vectors (little-endian, in the index's type) under their keys, but for keys that have a vector already.

    evidence: that of each, kept with it. again: a vector that only the segment holds counts as none.
    """
    for place, (key, vector) in enumerate(zip(keys, vectors, strict=True)):
        data = vector.tobytes()
        connection.execute("INSERT OR IGNORE INTO vectors (key) VALUES (?)", (key,))
        if connection.changes() or again:
            number = connection.execute("SELECT vector FROM vectors WHERE key = ?", (key,)).get
            connection.execute("INSERT OR IGNORE INTO fresh VALUES (?, ?, ?)", (number, data, vector_hash(data)))
            if connection.changes() and evidence is not None:
                insert(connection, [(number, evidence[place])])


def forget_moved_vectors(connection: apsw.Connection) -> None:
    """Forget the keys of vectors that only a segment holds, so that they are asked for again."""
    connection.execute("DELETE FROM vectors WHERE vector NOT IN (SELECT vector FROM fresh)")


def forget_damaged_vectors(connection: apsw.Connection, schema: EvidenceSchema | None) -> None:
    """Forget fresh vectors that do not match their hash or whose evidence does not, so that they are asked for again.

    schema: what evidence they need.
    """
    found = connection.execute("SELECT vector, coalesce(data, x''), hash FROM fresh")
    wrong = [number for number, data, digest in found if vector_hash(data) != digest]
    if schema is not None:
        wrong += damaged(connection) + lacking(connection, schema)
    with transaction(connection):
        connection.executemany("DELETE FROM fresh WHERE vector = ?", ((number,) for number in wrong))
        forget_evidence(connection)


def vector_hash(data: bytes) -> bytes:
    """BLAKE2b-128 of a stored vector's bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()
