"""What is fixed when an index is built, apart from what may change with every search."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError
from .columns import check_paths
from .evidence import EvidenceSchema
from .keys import refuse_unsafe

VECTOR_TYPES = {"fp32": "<f4", "fp16": "<f2"}
"""How exact vectors may be stored, and NumPy's name of it."""


_MOST = 2**31 - 1
"""What FAISS's numbers hold."""
_LEAST = {
    "memory": 1,
    "target_k": 1,
    "ef_construction": 1,
    "ef_search": 1,
    "nprobe": 1,
    "flat_below": 0,
    "tail_limit": 0,
    "history": 0,
}


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """What the vectors of an index are.

    space: fingerprint of what shapes a document vector; only queries of the same space may be asked.
    dimension: length of a vector.
    model: the caller's note of where the encoder is found; opaque here.
    evidence: what is kept of each vector's document beside it; None for nothing.

    Raises InvalidInputError for a dimension below 1.
    """

    space: str
    dimension: int
    model: str
    evidence: EvidenceSchema | None = None

    def __post_init__(self) -> None:
        _at_least("dimension", self.dimension, 1)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How an index is built and kept; stored with it.

    index_key: a FAISS factory string (``Flat``, ``HNSW32``, ``HNSW32,SQ8``, ``IVF4096,SQ8``, ``IVF4096,PQ96x4fs`` …);
        None chooses one by count, dimension and memory, see ``choice``.
    flat_below: distinct vectors up to which None chooses ``Flat``.
    vector_type: how the exact vectors are stored, ``fp32`` or ``fp16`` (half the disk; they are rounded when they are
        put, so a score is the same everywhere).
    memory: bytes of anonymous memory that building may take beyond the program's own, None for as much as it needs.
    target_recall: share of the ``target_k`` nearest that a search should find, above 0 and below 1; the search effort
        is tuned to it whenever a segment is written. None leaves the effort at ``ef_search`` and ``nprobe``.
    target_k: candidates of a search at which ``target_recall`` is meant.
    ef_construction: HNSW candidates examined while a vector is linked.
    ef_search: HNSW candidates examined by a search where no effort was tuned.
    nprobe: inverted lists searched where no effort was tuned, None for a sixteenth of them.
    tail_limit: fresh documents that may wait for the next segment; with more, ``Index.is_worn``.
    tail_share: the same as a share of the segment's documents; the larger of the two counts.
    dead_share: share of the segment's documents that may have died before ``Index.is_worn``; up to 1,000 always may.
        Also the share of a segment's vectors that may be unused before a compaction rebuilds instead of extending.
    history: changes that can be undone; a compaction forgets what only older ones need.
    filterable: places in payloads, as ``columns`` writes them, that SQLite keeps indexes on.
    lexical: whether candidates can be found by their terms, in an index with evidence.

    Raises InvalidInputError for a value out of range or an index key that is refused by name.
    """

    index_key: str | None = None
    flat_below: int = 10_000
    vector_type: str = "fp32"
    memory: int | None = None
    target_recall: float | None = 0.95
    target_k: int = 100
    ef_construction: int = 100
    ef_search: int = 128
    nprobe: int | None = None
    tail_limit: int = 1_000
    tail_share: float = 0.0
    dead_share: float = 0.25
    history: int = 100
    filterable: tuple[str, ...] = ()
    lexical: bool = True

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), least, most=2**63 - 1 if name == "memory" else _MOST)
        for name in ("tail_share", "dead_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInputError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if self.target_recall is not None and not 0 < self.target_recall < 1:
            raise InvalidInputError(
                f"target_recall must be above 0 and below 1, not {self.target_recall}: for exact search use Flat"
            )
        if self.vector_type not in VECTOR_TYPES:
            raise InvalidInputError(f"vector_type {self.vector_type!r} is not known: use fp32 or fp16")
        check_paths(self.filterable)
        if self.index_key is not None:
            refuse_unsafe(self.index_key)


@dataclass(frozen=True, slots=True)
class AnnOptions:
    """How one search looks for candidates; never stored.

    ef_search: HNSW candidates examined; nprobe: inverted lists searched; None for the index's own, tuned to its target.
        Never below what k needs in effect. Each is refused by an index of the other family; exact search has no use
        for either.
    refine: candidates taken from compressed vectors and scored exactly for each one wanted; None for the index's own.
    exact: score every vector instead.

    Raises InvalidInputError for a value below 1.
    """

    ef_search: int | None = None
    exact: bool = False
    nprobe: int | None = None
    refine: int | None = None

    def __post_init__(self) -> None:
        for name in ("ef_search", "nprobe", "refine"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)


def _at_least(name: str, value: object, least: int, most: int = _MOST) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"{name} must be a whole number of at least {least}, not {value!r}")
    if value > most:
        raise InvalidInputError(f"{name} must be a whole number of at most {most}, not {value!r}")
