"""Unit vectors made short and small: what a document's segments are cached as.

A sketch sums groups of a vector's entries with signs: its rows are orthogonal, it needs no training and no file, and it
keeps inner products well enough to choose among segments (docs/decisions/0022).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_STEP = np.float32(0.5 / 127)
"""What one step of an int8 entry is worth: of 128 entries of a unit vector hardly one lies beyond a half."""
_SEED = 20200227
"""Fixed for good: sketches that are stored are compared with those of tomorrow's queries."""


def sketch(vectors: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Bring ``(n, dimension)`` vectors to ``(n, width)`` float32 unit rows; every entry is used once (a count sketch).

    Charikar, Chen and Farach-Colton, "Finding frequent items in data streams" (2002), with equal groups.
    """
    order, signs = _groups(vectors.shape[1])
    signed = vectors[:, order] * signs
    padded = np.zeros((len(vectors), -(-vectors.shape[1] // width) * width), dtype=np.float32)
    padded[:, : vectors.shape[1]] = signed
    summed = padded.reshape(len(vectors), -1, width).sum(axis=1)
    norms = np.linalg.norm(summed, axis=1, keepdims=True)
    short: NDArray[np.float32] = summed / np.maximum(norms, np.finfo(np.float32).tiny)
    return short


def to_codes(sketches: NDArray[np.float32]) -> NDArray[np.int8]:
    """Round sketches to int8, ``(n, width)``."""
    codes: NDArray[np.int8] = np.clip(np.rint(sketches / _STEP), -127, 127).astype(np.int8)
    return codes


def cosines(query: NDArray[np.float32], codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Cosines ``(n,)`` float32 of a query's sketch ``(width,)`` with codes ``(n, width)``.

    A row's value does not depend on the others: the sum runs along each row.
    """
    products: NDArray[np.float32] = np.einsum("ij,j->i", codes.astype(np.float32), query * _STEP)
    return products


@lru_cache(maxsize=8)
def _groups(dimension: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    draw = np.random.Generator(np.random.PCG64(_SEED))
    order = np.argsort(draw.random(dimension), kind="stable")
    signs = np.where(draw.random(dimension) < 0.5, -1, 1).astype(np.float32)
    return order, signs
