"""A hash at the end of the few rows that say what an index is: SQLite would hand out a flipped bit in them unseen."""

from __future__ import annotations

import hashlib
from typing import Any

from ..errors import IndexDamagedError


def sealed(*values: str | int) -> tuple[str | int | bytes, ...]:
    """The values of a row, and the BLAKE2b-128 of them all."""
    return (*values, _hash(values))


def unsealed(kind: str, row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of a row that ``sealed`` made; texts may have been read as blobs, which spares their decoding.

    kind: what the row is, for the message. Raises IndexDamagedError when it is not as it was written.
    """
    *values, digest = row
    if _hash(values) != digest:
        raise IndexDamagedError(f"the store's {kind} does not match its hash: restore the index or build it again")
    return tuple(values)


def _hash(values: tuple[Any, ...] | list[Any]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        part = value if isinstance(value, bytes) else str(value).encode()
        digest.update(b"%d:%b" % (len(part), part))
    return digest.digest()
