"""One generation's immutable files, memory-mapped.

Vectors have positions 0 to n-1 in the order of their numbers; documents have slots, grouped by the position
of their vector and ordered by id, descending, within it::

    vectors.npy   (n, dim) float32 unit rows      starts.npy   (n + 1,) int64: the slots of position p are
    numbers.npy   (n,) int64, ascending                        starts[p] to starts[p + 1]
    rows.npy      (m,) int64: row of each slot    by_row.npy   (m,) int64: slots in ascending order of row
    ann.faiss     HNSW over the distinct ones of vectors.npy, where the family asks for it, with the two files of
                  ``twins``
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .graph import Graph
from .layout import checksum
from .twins import Twins

VECTORS, NUMBERS, ROWS, STARTS, BY_ROW = "vectors.npy", "numbers.npy", "rows.npy", "starts.npy", "by_row.npy"
ANN, MEMBERS, NODES = "ann.faiss", "members.npy", "nodes.npy"
DTYPE = "<f4"
"""The one type of stored vectors so far; a segment notes its own."""

_Scalar = TypeVar("_Scalar", np.float32, np.int64)


@dataclass(frozen=True, slots=True)
class FileSeal:
    """Size in bytes and BLAKE2b-256 (hex) of a segment's file."""

    bytes: int
    blake2b: str


@dataclass(frozen=True, slots=True)
class SegmentDescription:
    """What a segment holds; kept in the store, which readers trust, and copied into manifest.json.

    commit: number of the commit that published it. before: that of the generation before it, -1 without one.
    last_row: highest row number given out by then. nodes: of its graph, 0 without one.
    """

    generation: int
    commit: int
    before: int
    last_row: int
    documents: int
    vectors: int
    nodes: int
    dimension: int
    dtype: str
    index_key: str
    files: dict[str, FileSeal]


@dataclass(frozen=True, slots=True)
class Segment:
    """The mapped files of one generation."""

    description: SegmentDescription
    vectors: NDArray[np.float32]
    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    by_row: NDArray[np.int64]
    graph: Graph | None

    @classmethod
    def open(cls, folder: Path, description: SegmentDescription) -> Segment:
        """Map the files; raises IndexDamagedError naming a file that is missing, cut or of another shape."""
        for name, seal in description.files.items():
            check_size(folder / name, seal)
        if description.dtype != DTYPE:
            raise IndexDamagedError(f"{folder} holds {description.dtype} vectors, not {DTYPE}: build the index again")
        n, m = description.vectors, description.documents
        vectors = _mapped(folder / VECTORS, np.float32, (n, description.dimension))
        return cls(
            description,
            vectors,
            numbers=_mapped(folder / NUMBERS, np.int64, (n,)),
            rows=_mapped(folder / ROWS, np.int64, (m,)),
            starts=_mapped(folder / STARTS, np.int64, (n + 1,)),
            by_row=_mapped(folder / BY_ROW, np.int64, (m,)),
            graph=_open_graph(folder, description) if ANN in description.files else None,
        )

    def check_seals(self, folder: Path) -> None:
        """Raise IndexDamagedError naming a file of the segment that does not match its checksum."""
        for name, seal in self.description.files.items():
            check_size(folder / name, seal)
            if checksum(folder / name) != seal.blake2b:
                raise IndexDamagedError(f"{folder / name} does not match its checksum: build the index again")

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slot of each row number, -1 where the segment does not hold it; ``(n,)`` int64 both."""
        return _lookup(self.rows, rows, self.by_row)

    def positions_of_slots(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of the vector of each slot; ``(n,)`` int64 both."""
        return np.searchsorted(self.starts, slots, side="right") - 1

    def positions_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each vector number, -1 where the segment does not hold it; ``(n,)`` int64 both."""
        return _lookup(self.numbers, numbers)


def _open_graph(folder: Path, description: SegmentDescription) -> Graph:
    members = _mapped(folder / MEMBERS, np.int64, (description.vectors,))
    starts = _mapped(folder / NODES, np.int64, (description.nodes + 1,))
    twins = Twins(members, starts)
    if not twins.sound():
        raise IndexDamagedError(f"{folder / MEMBERS} or {NODES} is damaged: restore it or build the index again")
    return Graph.load(folder / ANN, twins, description.dimension)


def check_size(path: Path, seal: FileSeal) -> None:
    """Raise IndexDamagedError unless the file is there in full length."""
    if not path.is_file():
        raise IndexDamagedError(f"{path} is missing: restore it or build the index again")
    if (size := path.stat().st_size) != seal.bytes:
        raise IndexDamagedError(f"{path} has {size} bytes instead of {seal.bytes}: restore it or build the index again")


def _mapped(path: Path, kind: type[_Scalar], shape: tuple[int, ...]) -> NDArray[_Scalar]:
    try:
        array: NDArray[_Scalar] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError) as error:
        raise IndexDamagedError(f"{path} is damaged ({error}): restore it or build the index again") from error
    if array.dtype != kind or array.shape != shape:
        raise IndexDamagedError(f"{path} is not {kind.__name__} {shape}: restore it or build the index again")
    return array


def _lookup(
    values: NDArray[np.int64], wanted: NDArray[np.int64], sorter: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    if not len(values):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(values, wanted, sorter=sorter), len(values) - 1)
    found = places if sorter is None else sorter[places]
    return np.where(values[found] == wanted, found, -1)
