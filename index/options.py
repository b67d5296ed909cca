"""What is fixed when an index is built, apart from what may change with every search."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidInputError

_HNSW = re.compile(r"HNSW([1-9][0-9]{0,2})")
_LINKS = range(4, 129)
AUTOMATIC_GRAPH = "HNSW32"


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """What the vectors of an index are.

    space: fingerprint of what shapes a document vector; only queries of the same space may be asked.
    dimension: length of a vector.
    model: the caller's note of where the encoder is found; opaque here.

    Raises InvalidInputError for a dimension below 1.
    """

    space: str
    dimension: int
    model: str

    def __post_init__(self) -> None:
        _at_least("dimension", self.dimension, 1)


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How an index is built and kept; stored with it.

    index_key: ``"Flat"`` (exact) or ``"HNSW<M>"`` with M links a node, 4 to 128; None chooses ``Flat`` below
        ``flat_below`` vectors (one for each distinct text) and ``HNSW32`` from there on.
    ef_construction: HNSW candidates examined while a vector is linked.
    ef_search: HNSW candidates examined by a search that asks for nothing else.
    tail_limit: fresh documents that may wait for the next segment; with more, ``Index.is_worn``.
    tail_share: the same as a share of the segment's documents; the larger of the two counts.
    dead_share: share of the segment's documents that may have died before ``Index.is_worn``; up to 1,000 always may.
    history: changes that can be undone; a compaction forgets what only older ones need.

    Raises InvalidInputError for a value out of range.
    """

    index_key: str | None = None
    flat_below: int = 10_000
    ef_construction: int = 200
    ef_search: int = 128
    tail_limit: int = 2_000
    tail_share: float = 0.1
    dead_share: float = 0.25
    history: int = 100

    def __post_init__(self) -> None:
        for name in ("ef_construction", "ef_search"):
            _at_least(name, getattr(self, name), 1)
        for name in ("flat_below", "tail_limit", "history"):
            _at_least(name, getattr(self, name), 0)
        for name in ("tail_share", "dead_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInputError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if self.index_key not in (None, "Flat"):
            links(self.index_key)

    def family(self, vectors: int) -> str:
        """The index key to use for this many vectors."""
        if self.index_key is not None:
            return self.index_key
        return "Flat" if vectors < self.flat_below else AUTOMATIC_GRAPH


@dataclass(frozen=True, slots=True)
class AnnOptions:
    """How one search looks for candidates; never stored.

    ef_search: HNSW candidates examined, None for the index's own; never below k in effect.
    exact: score every vector instead.

    Raises InvalidInputError for an ef_search below 1.
    """

    ef_search: int | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        if self.ef_search is not None:
            _at_least("ef_search", self.ef_search, 1)


def links(index_key: str) -> int:
    """M of ``"HNSW<M>"``; raises InvalidInputError for any other key."""
    match = _HNSW.fullmatch(index_key)
    if match is None or int(match[1]) not in _LINKS:
        raise InvalidInputError(f"index key {index_key!r} is not known: use Flat, or HNSW<M> with M from 4 to 128")
    return int(match[1])


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidInputError(f"{name} must be a whole number of at least {least}, not {value!r}")
