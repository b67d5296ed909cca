"""Index keys: which of FAISS's factory strings can serve here, and what kind of index each makes.

A key is taken when FAISS builds it and its kind is known to answer with a selector (live updates leave the dead out
inside the search), from a mapped file, with its own positions as ids. All else is refused by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

import faiss

from ..errors import InvalidInputError

_faiss: Any = faiss  # its type stubs lack what only SWIG's classes have

_EXAMPLES = "a key like Flat, HNSW32, HNSW32,SQ8, IVF1024,SQ8 or IVF1024,PQ48x4fs"
_LONGEST, _LARGEST = 100, 1 << 20
_LINKS = range(4, 129)
"""M of an HNSW: fewer links lose documents, more cost memory for nothing."""
_HNSW_STORAGE = re.compile(r"(HNSW[0-9]+)[,_](SQ8|SQfp16|SQbf16)")
_UNSAFE = (
    (r"IDMap", "it keeps ids of its own, and over IVF it answers wrong ones after a removal", "leave it out"),
    (r"NSG", "it cannot leave deleted documents out", "use HNSW"),
    (r"LSH|^PQ|^OPQ[^,]*,PQ|^RQ|^LSQ", "it cannot leave deleted documents out", "put IVF<n>, before it"),
    (r"HNSW[0-9]*[,_].*PQ", "a graph over product codes is not tested here", "use HNSW<M>,SQ8 or IVF<n>,PQ<m>"),
    (r"RFlat|Refine", "candidates are refined from the index's own exact vectors already", "leave it out"),
    (r"Residual|LSQ|RQ[0-9]", "additive codes are not tested here", "use PQ"),
    (r"FlatDedup", "equal vectors are stored once already", "leave Dedup out"),
    (r"IMI", "FAISS's multi-index takes no inner product", "use IVF<n>"),
)


class Kind(Enum):
    """How a family searches, and so what effort means: nothing, efSearch, or nprobe."""

    FLAT = "flat"
    HNSW = "hnsw"
    IVF = "ivf"


@dataclass(frozen=True, slots=True)
class Family:
    """One index key that was found fit.

    key: FAISS's factory string. lists: inverted lists of an IVF, 0 otherwise.
    least: distinct vectors that it needs to be trained; with fewer a segment is searched exactly.
    """

    key: str
    kind: Kind
    lists: int = 0
    least: int = 1

    @property
    def is_exact(self) -> bool:
        """Whether it compares whole float32 vectors."""
        return not re.search(r"SQ|PQ|RaBitQ|PCA|OPQ|RR|ITQ", self.key)

    @property
    def is_fine(self) -> bool:
        """Whether it compares vectors of at least a byte a dimension: hardly a neighbour is misplaced."""
        return self.is_exact or (
            bool(re.search(r"SQ(8|fp16|bf16)", self.key)) and not re.search(r"PCA|RR|ITQ", self.key)
        )


FLAT = Family("Flat", Kind.FLAT)


def family_of(key: str, dimension: int) -> Family:
    """What an index key makes over vectors of this dimension.

    Raises InvalidInputError for a key that FAISS does not know or that cannot serve here, saying why.
    """
    if key == FLAT.key:
        return FLAT
    refuse_unsafe(key)
    index = made(key, dimension)  # owns what is looked at inside it
    return _classified(key, inner_of(index))


def refuse_unsafe(key: str) -> None:
    """Raise InvalidInputError for a key that is refused by its name, whatever the dimension."""
    if not key.isascii() or not 0 < len(key) <= _LONGEST:
        raise InvalidInputError(f"index key {key!r} is not known: use {_EXAMPLES}")
    for pattern, reason, remedy in _UNSAFE:
        if re.search(pattern, key):
            raise InvalidInputError(f"index key {key!r} cannot be used: {reason}; {remedy}")
    if any(int(number) > _LARGEST for number in re.findall(r"[0-9]+", key)):
        raise InvalidInputError(f"index key {key!r} cannot be used: a number in it is above {_LARGEST:,}")
    links = re.search(r"HNSW([0-9]*)", key)
    if links is not None and int(links[1] or 0) not in _LINKS:
        raise InvalidInputError(f"index key {key!r} is not known: use HNSW<M> with M from 4 to 128")


def made(key: str, dimension: int) -> Any:  # noqa: ANN401 - FAISS's classes have no common type
    """An empty FAISS index for inner products; raises InvalidInputError where FAISS cannot make it."""
    try:
        return _faiss.index_factory(dimension, key, _faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise InvalidInputError(
            f"index key {key!r} is not known to FAISS for {dimension} dimensions: use {_EXAMPLES}"
        ) from error


def graph_and_storage(key: str) -> tuple[str, str] | None:
    """The two halves of a compressed HNSW key, ``("HNSW32", "SQ8")``; None for any other."""
    match = _HNSW_STORAGE.fullmatch(key)
    return None if match is None else (match[1], match[2])


def inner_of(index: Any) -> Any:  # noqa: ANN401
    """The index behind a rotation or projection; valid as long as ``index`` is."""
    return _faiss.downcast_index(index.index) if isinstance(index, _faiss.IndexPreTransform) else index


def _classified(key: str, index: Any) -> Family:  # noqa: ANN401
    if isinstance(index, _faiss.IndexHNSWFlat) or (
        isinstance(index, _faiss.IndexHNSWSQ) and graph_and_storage(key) is not None
    ):
        return Family(key, Kind.HNSW)
    if isinstance(index, _IVF):
        codes = 1 << int(getattr(getattr(index, "pq", None), "nbits", 0))
        return Family(key, Kind.IVF, lists=int(index.nlist), least=max(int(index.nlist), codes))
    raise InvalidInputError(
        f"index key {key!r} makes a {type(index).__name__}, which is not supported: use Flat, HNSW<M> with Flat, SQ8, "
        "SQfp16 or SQbf16, or IVF<n> with Flat, SQ or PQ"
    )


_IVF = (
    _faiss.IndexIVFFlat,
    _faiss.IndexIVFScalarQuantizer,
    _faiss.IndexIVFPQ,
    _faiss.IndexIVFPQFastScan,
    _faiss.IndexIVFRaBitQ,
    _faiss.IndexIVFRaBitQFastScan,
)
