"""Chooses an index family by count, dimension, memory and recall target, and estimates its size before it is built."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import InvalidInputError
from .keys import FLAT, Family, Kind, family_of, graph_and_storage
from .options import VECTOR_TYPES, BuildOptions

_LINK_BYTES, _NODE_BYTES = 4, 48
_WORK_BYTES = 100
"""Bytes a vector for row tables and the search for twins while a segment is written."""
_TRAIN_ROWS, _TRAIN_PER_LIST = 65_536, 32
_FIXED_BYTES, _LEAST_BYTES, _CACHED_BYTES = 128 << 20, 24 << 20, 1_500
"""Blocks of vectors, the store's page cache, FAISS's own tables: at most, at least, and what a vector adds between."""
_COMPRESSED_BYTES = {"SQ8": 1, "SQfp16": 2, "SQbf16": 2}


@dataclass(frozen=True, slots=True)
class Choice:
    """What a segment is to be, and why.

    index_key: the family's key, ``Flat`` where the asked one needs more vectors than there are.
    reason: one line for people.
    ann_bytes, vector_bytes: estimated sizes of the two files. build_bytes: anonymous memory while they are written.
    """

    index_key: str
    reason: str
    ann_bytes: int
    vector_bytes: int
    build_bytes: int


def choose(count: int, dimension: int, options: BuildOptions) -> Choice:
    """The family for this many distinct vectors; raises InvalidInputError where nothing fits the memory budget."""
    if options.index_key is not None:
        return _asked(count, dimension, options, family_of(options.index_key, dimension))
    quick = [(FLAT.key, f"below {options.flat_below:,} exact search is quick")]
    for key, reason in quick if count < options.flat_below else _candidates(count, dimension):
        choice = _described(family_of(key, dimension), count, dimension, options, reason)
        if options.memory is None or choice.build_bytes <= options.memory:
            return choice
    raise InvalidInputError(
        f"{count:,} vectors of {dimension} dimensions need at least {megabytes(choice.build_bytes)} to build, "
        f"memory is {megabytes(options.memory or 0)}: give more memory{', or use index_key Flat' * (key != FLAT.key)}"
    )


def train_rows(family: Family) -> int:
    """Vectors that a family is trained on, where there are so many."""
    return max(_TRAIN_ROWS, _TRAIN_PER_LIST * family.lists)


def fits_full_graph(key: str, count: int, dimension: int, memory: int | None) -> bool:
    """Whether a compressed HNSW may be linked over uncompressed vectors first, which finds better links."""
    return memory is None or _build_bytes(key, count, dimension, full=True) <= memory


def megabytes(size: int) -> str:
    """A size for people: ``1,234 MB``, decimal."""
    return f"{max(1, round(size / 1e6)):,} MB"


def _asked(count: int, dimension: int, options: BuildOptions, family: Family) -> Choice:
    if count < family.least:
        reason = f"{family.key} is trained from {family.least:,} distinct vectors on: exact until then"
        choice = _described(FLAT, count, dimension, options, reason)
    else:
        choice = _described(family, count, dimension, options, "asked for")
    if options.memory is not None and choice.build_bytes > options.memory:
        raise InvalidInputError(
            f"{choice.index_key} over {count:,} vectors needs {megabytes(choice.build_bytes)} to build, memory is "
            f"{megabytes(options.memory)}: give more memory, or let index_key be chosen"
        )
    return choice


def _candidates(count: int, dimension: int) -> list[tuple[str, str]]:
    lists = 1 << max(6, round(math.log2(4 * math.sqrt(count))))
    codes = dimension // 4 if dimension % 4 == 0 else 0
    found = [
        ("HNSW32,SQ8", "the quickest at a high recall; candidates are scored again from exact vectors"),
        (f"IVF{lists},SQ8", "a graph would not fit the memory; inverted lists of one byte a dimension do"),
    ]
    if codes:
        found.append((f"IVF{lists},PQ{codes}x4fs", "little memory: product codes, scored again from exact vectors"))
    return found


def _described(family: Family, count: int, dimension: int, options: BuildOptions, reason: str) -> Choice:
    itemsize = int(VECTOR_TYPES[options.vector_type][-1])
    return Choice(
        index_key=family.key,
        reason=reason,
        ann_bytes=_ann_bytes(family, count, dimension),
        vector_bytes=count * dimension * itemsize,
        build_bytes=_build_bytes(family.key, count, dimension, full=False),
    )


def _ann_bytes(family: Family, count: int, dimension: int) -> int:
    if family.kind is Kind.FLAT:
        return 0
    if family.kind is Kind.HNSW:
        return count * (_graph_bytes(family.key) + _stored_bytes(family.key, dimension))
    return family.lists * dimension * 4 + count * (8 + _code_bytes(family.key, dimension))


def _build_bytes(key: str, count: int, dimension: int, *, full: bool) -> int:
    family = family_of(key, dimension)
    work = min(_FIXED_BYTES, _LEAST_BYTES + count * _CACHED_BYTES) + count * _WORK_BYTES
    if family.kind is Kind.FLAT:
        return work
    if family.kind is Kind.IVF:
        sample = min(count, train_rows(family)) * dimension * 4
        return work + max(sample, int(1.3 * _ann_bytes(family, count, dimension)))  # lists grow by doubling
    extra = count * (_graph_bytes(key) + 4 * dimension) if full and graph_and_storage(key) else 0
    return work + extra + int(1.1 * _ann_bytes(family, count, dimension))


def _graph_bytes(key: str) -> int:
    match = re.search(r"HNSW([0-9]+)", key)
    links = int(match[1]) if match else 0
    # Twice M links on the lowest layer; above it M a layer, on one node in M.
    return 2 * links * _LINK_BYTES + 2 * _LINK_BYTES + _NODE_BYTES


def _stored_bytes(key: str, dimension: int) -> int:
    halves = graph_and_storage(key)
    return dimension * (4 if halves is None else _COMPRESSED_BYTES[halves[1]])


def _code_bytes(key: str, dimension: int) -> int:
    if match := re.search(r"PQ([0-9]+)(?:x([0-9]+))?", key):
        return int(match[1]) * int(match[2] or 8) // 8
    if match := re.search(r"SQ([0-9]+)", key):
        return dimension * int(match[1]) // 8
    if "RaBitQ" in key:
        return dimension // 8 + 8
    return dimension * (2 if "SQfp16" in key or "SQbf16" in key else 4)
