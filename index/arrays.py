"""Arrays in files of NumPy's format 1.0: written a piece at a time, mapped where type and shape are known."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError

HEADER_BYTES = 128
"""Room for a header whose shape is not known yet."""
_MAGIC = b"\x93NUMPY\x01\x00"
"""What a file of NumPy's format 1.0 begins with; the length and the text of its header follow."""


class ArrayFile:
    """A new file, as a context, whose array grows along its first axis; leaving it completes the header.

    kind: NumPy's name of the type. width: length of the second axis, None for an array of one.
    """

    def __init__(self, path: Path, kind: str, width: int | None = None) -> None:
        self._file = path.open("wb")
        self._kind, self._width, self._rows = kind, width, 0
        self._file.write(bytes(HEADER_BYTES))

    def append(self, array: NDArray[Any]) -> None:
        """Add the rows of an array of that type and width."""
        self._file.write(np.ascontiguousarray(array, dtype=self._kind).data)
        self._rows += len(array)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.seek(0)
            shape = (self._rows,) if self._width is None else (self._rows, self._width)
            self._file.write(header(self._kind, shape))


def header(kind: str, shape: tuple[int, ...]) -> bytes:
    """What ``numpy.lib.format`` writes before an array, padded to ``HEADER_BYTES``."""
    text = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape}, }}"
    body = text.ljust(HEADER_BYTES - 11) + "\n"
    return _MAGIC + len(body).to_bytes(2, "little") + body.encode("latin-1")


def mapped(path: Path, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array of known type and shape: its header is compared with the only one it can have, never parsed.

    Raises IndexDamagedError for another.
    """
    wanted = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    dtype = np.dtype(kind)
    with path.open("rb") as file:
        magic, length = file.read(8), int.from_bytes(file.read(2), "little")
        sound = magic == _MAGIC and file.read(length).rstrip() == wanted
        start = file.tell()
    if not sound or path.stat().st_size != start + math.prod(shape) * dtype.itemsize:
        raise IndexDamagedError(f"{path} is not {kind} {shape}: restore it, or mend it by twinbert index rebuild")
    # A plain view: slices of a memmap cost more to make than to read.
    return np.asarray(np.memmap(path, dtype=dtype, mode="r", offset=start, shape=shape))


def spread(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every number of each range, and the range it is of.

    Example: starts [5, 9], sizes [2, 1] -> [5, 6, 9], [0, 0, 1]
    """
    owners = np.repeat(np.arange(len(sizes)), sizes)
    before = np.cumsum(sizes) - sizes
    return starts[owners] + np.arange(len(owners)) - before[owners], owners
