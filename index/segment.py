"""One generation's immutable files, memory-mapped.

Vectors have positions 0 to n-1 in the order of their numbers; documents have slots, grouped by the position
of their vector and ordered by id, descending, within it::

    vectors.npy   (n, dim) float32 or float16      starts.npy   (n + 1,) int64: the slots of position p are
                  unit rows: the truth                          starts[p] to starts[p + 1], none where nothing
    numbers.npy   (n,) int64, ascending                         lives that uses it
    rows.npy      (m,) int64: row of each slot     by_row.npy   (m,) int64: slots in ascending order of row
    ann.faiss     FAISS's index of the distinct ones of vectors.npy, where the family has one, with the two files of
                  ``twins``; queries.npy, float32, those that its search effort was tuned with. All derived

What is kept beside the vectors, where an index keeps anything, is in ``evidence_map``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .ann import Ann
from .arrays import mapped
from .evidence import EvidenceSchema
from .evidence_map import COUNTED, EVIDENCE, StoredEvidence
from .keys import family_of
from .layout import checksum
from .options import VECTOR_TYPES
from .spool import Spool
from .store import Commit
from .tuning import Tuning
from .twins import Twins

VECTORS, NUMBERS, ROWS, STARTS, BY_ROW = "vectors.npy", "numbers.npy", "rows.npy", "starts.npy", "by_row.npy"
ANN, MEMBERS, NODES, QUERIES = "ann.faiss", "members.npy", "nodes.npy", "queries.npy"
STORED = frozenset({VECTORS, NUMBERS, ROWS, STARTS, BY_ROW})
DERIVED = frozenset({ANN, MEMBERS, NODES, QUERIES, ROWS, STARTS, BY_ROW}) | COUNTED
"""Files that ``Index.rebuild`` makes anew, from the others and from the store."""


@dataclass(frozen=True, slots=True)
class FileSeal:
    """Size in bytes and BLAKE2b-256 (hex) of a segment's file."""

    bytes: int
    blake2b: str


@dataclass(frozen=True, slots=True)
class SegmentDescription:
    """What a segment holds; kept in the store, which readers trust, and copied into manifest.json.

    commit: number of the commit that published it. before: that of the generation before it, -1 without one.
    last_row: highest row number given out by then. nodes: of its ANN index, 0 without one; trained: of how many when it
    was last built from nothing. reason: why this index_key. tuning: how its search effort was chosen, if it was.
    evidence: what is kept beside the vectors, if anything is; terms: distinct ones in it.
    """

    generation: int
    commit: int
    before: int
    last_row: int
    documents: int
    vectors: int
    nodes: int
    space: str
    dimension: int
    dtype: str
    index_key: str
    reason: str
    trained: int
    tuning: Tuning | None
    files: dict[str, FileSeal]
    evidence: EvidenceSchema | None = None
    terms: int = 0

    def check_names(self, folder: Path) -> None:
        """Raise IndexDamagedError unless the files are those that a segment has, in a folder of its own."""
        names, graph = self.files.keys(), {ANN, MEMBERS, NODES}
        needed = STORED if self.evidence is None else STORED | EVIDENCE | COUNTED
        whole = needed <= names <= needed | {*graph, QUERIES} and (not names & graph or graph <= names)
        if not whole or folder.is_symlink():
            raise IndexDamagedError(f"{folder} is not described as a segment is: restore it or build the index again")


@dataclass(frozen=True, slots=True)
class Segment:
    """The mapped files of one generation."""

    description: SegmentDescription
    vectors: NDArray[np.floating]
    numbers: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    by_row: NDArray[np.int64]
    ann: Ann | None
    evidence: StoredEvidence | None = None
    single: bool = False
    """Whether every vector has one document: then slots are positions."""

    @classmethod
    def open(cls, folder: Path, description: SegmentDescription, *, derived: bool = True) -> Segment:
        """Map the files; raises IndexDamagedError naming a file that is missing, cut or of another shape.

        derived: False leaves out what can be made anew, so that damage there is no hindrance: no vector has documents.
        """
        description.check_names(folder)
        for name, seal in description.files.items():
            if derived or name not in DERIVED:
                check_size(folder / name, seal)
        if description.dtype not in VECTOR_TYPES.values():
            raise IndexDamagedError(f"{folder} holds {description.dtype} vectors, which no version writes: restore it")
        n, m = description.vectors, description.documents if derived else 0
        starts = mapped(folder / STARTS, "<i8", (n + 1,)) if derived else _nothing(n + 1)
        segment = cls(
            description,
            vectors=mapped(folder / VECTORS, description.dtype, (n, description.dimension)),
            numbers=mapped(folder / NUMBERS, "<i8", (n,)),
            rows=mapped(folder / ROWS, "<i8", (m,)) if derived else _nothing(m),
            starts=starts,
            by_row=mapped(folder / BY_ROW, "<i8", (m,)) if derived else _nothing(m),
            ann=_open_ann(folder, description) if derived and ANN in description.files else None,
            evidence=_open_evidence(folder, description, derived=derived),
            single=n == m and bool((np.diff(starts) == 1).all()),
        )
        segment._check_order(folder)
        return segment

    def _check_order(self, folder: Path) -> None:
        """Nothing may lead out of the arrays: checksums are compared by ``verify``, a search trusts what it reads."""
        n, m = self.description.vectors, len(self.rows)
        sound = {
            NUMBERS: not (np.diff(self.numbers) <= 0).any(),
            STARTS: self.starts[0] == 0 and self.starts[n] == m and not (np.diff(self.starts) < 0).any(),
            BY_ROW: m == 0 or (self.by_row.min() >= 0 and self.by_row.max() < m),
        }
        for name, in_order in sound.items():
            if not in_order:
                raise IndexDamagedError(f"{folder / name} is damaged: restore it, or mend it by twinbert index rebuild")

    def check_seals(self, folder: Path, *, derived: bool = True) -> None:
        """Raise IndexDamagedError naming a file of the segment that does not match its checksum.

        derived: False looks only at what cannot be made anew.
        """
        for name, seal in self.description.files.items():
            if name in DERIVED and not derived:
                continue
            check_size(folder / name, seal)
            if checksum(folder / name) != seal.blake2b:
                raise IndexDamagedError(f"{folder / name} does not match its checksum: twinbert index rebuild mends it")

    def slots_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Slot of each row number, -1 where the segment does not hold it; ``(n,)`` int64 both."""
        return _lookup(self.rows, rows, self.by_row)

    def positions_of_slots(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of the vector of each slot; ``(n,)`` int64 both."""
        return slots if self.single else np.searchsorted(self.starts, slots, side="right") - 1

    def positions_of(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of each vector number, -1 where the segment does not hold it; ``(n,)`` int64 both."""
        n = len(self.numbers)
        if not n or self.numbers[-1] - self.numbers[0] >= n:
            return _lookup(self.numbers, numbers)
        places = numbers - self.numbers[0]  # no gaps, as a build leaves them
        return np.where((places >= 0) & (places < n), places, -1)


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What segment is to be written.

    commit: the commit that it belongs to, with schema and options.
    previous: the segment that is current now, from which vectors are copied; all others come from the store.
    rebuild: make the ANN index from nothing, rather than extend a copy of the previous one.
    queries: ``(q, dim)`` float32 unit rows to tune with; None for those of the previous segment.
    spool: vectors that a build has staged, adopted by the store.
    history: changes that can be undone afterwards; None for as many as the options say.
    """

    commit: Commit
    previous: Segment | None
    rebuild: bool = False
    queries: NDArray[np.float32] | None = None
    spool: Spool | None = None
    history: int | None = None


def _open_ann(folder: Path, description: SegmentDescription) -> Ann:
    members: NDArray[np.int64] = mapped(folder / MEMBERS, "<i8", (description.vectors,))
    starts: NDArray[np.int64] = mapped(folder / NODES, "<i8", (description.nodes + 1,))
    twins = Twins(members, starts)
    if not twins.sound():
        raise IndexDamagedError(f"{folder / MEMBERS} or {NODES} is damaged: twinbert index rebuild makes them anew")
    family = family_of(description.index_key, description.dimension)
    return Ann.load(folder / ANN, family, twins, description.dimension)


def _open_evidence(folder: Path, description: SegmentDescription, *, derived: bool) -> StoredEvidence | None:
    if description.evidence is None:
        return None
    distinct = description.terms if derived else 0
    return StoredEvidence.open(folder, description.vectors, description.evidence.part_width, distinct)


def is_sound(path: Path, seal: FileSeal) -> bool:
    """Whether a file is there as it was sealed."""
    return path.is_file() and path.stat().st_size == seal.bytes and checksum(path) == seal.blake2b


def check_size(path: Path, seal: FileSeal) -> None:
    """Raise IndexDamagedError unless the file is there in full length."""
    if not path.is_file() or path.is_symlink():
        raise IndexDamagedError(f"{path} is missing: restore it, or mend it by twinbert index rebuild")
    if (size := path.stat().st_size) != seal.bytes:
        raise IndexDamagedError(
            f"{path} has {size} bytes instead of {seal.bytes}: restore it, or mend it by twinbert index rebuild"
        )


def _nothing(n: int) -> NDArray[np.int64]:
    return np.zeros(n, dtype=np.int64)


def _lookup(
    values: NDArray[np.int64], wanted: NDArray[np.int64], sorter: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    if not len(values):
        return np.full(len(wanted), -1, dtype=np.int64)
    places = np.minimum(np.searchsorted(values, wanted, sorter=sorter), len(values) - 1)
    found = places if sorter is None else sorter[places]
    return np.where(values[found] == wanted, found, -1)
