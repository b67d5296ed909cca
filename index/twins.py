"""Equal vectors under different keys: texts that differ and tokenise alike, or are cut to the same beginning.

HNSW loses vectors beside large groups of equal ones, so an ANN index holds each group once, as a node. Positions are
those of a segment's vectors; nodes are numbered by the first position of their group when an index is built, and keep
their numbers while it is extended::

    members.npy   (n,) int64: positions, those of node 0 first    nodes.npy   (g + 1,) int64: the members of node j
                                                                              are nodes[j] to nodes[j + 1]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class Twins:
    """Which positions each node stands for: ``members`` ``(n,)`` and ``starts`` ``(g + 1,)``, int64."""

    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def among(cls, vectors: NDArray[np.floating]) -> Twins:
        """Group ``vectors`` ``(n, dim)`` by their bytes."""
        return cls._grouped(_digests(vectors, np.arange(len(vectors))))

    def extended(self, vectors: NDArray[np.floating], places: NDArray[np.int64]) -> Twins:
        """The twins of a segment that holds these vectors and more; nodes keep their numbers, new ones follow.

        vectors: ``(n, dim)``, the new segment's. places: ``(n_old,)`` int64: where each old position is now.
        """
        members = places[self.members]
        added = np.setdiff1d(np.arange(len(vectors)), places, assume_unique=True)
        digests = np.concatenate([_digests(vectors, members[self.starts[:-1]]), _digests(vectors, added)])
        new = Twins._grouped(digests)
        node_of = np.empty(len(digests), dtype=np.int64)
        node_of[new.members] = np.repeat(np.arange(len(new)), np.diff(new.starts))
        nodes = np.concatenate([np.repeat(node_of[: len(self)], np.diff(self.starts)), node_of[len(self) :]])
        order = np.argsort(nodes, kind="stable")
        sizes = np.bincount(nodes, minlength=len(new))
        return Twins(np.concatenate([members, added])[order], np.append(0, np.cumsum(sizes)).astype(np.int64))

    @classmethod
    def _grouped(cls, digests: NDArray[np.uint64]) -> Twins:
        order = np.lexsort(digests.T)
        begins = np.ones(len(order), dtype=np.bool_)
        begins[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
        first = np.empty(len(order), dtype=np.int64)
        first[order] = order[begins][np.cumsum(begins) - 1]
        members = np.argsort(first, kind="stable")
        starts = np.flatnonzero(np.diff(first[members], prepend=-1))
        return cls(members, np.append(starts, len(order)).astype(np.int64))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def sound(self) -> bool:
        """Whether these can be groups of all positions: nothing out of range, no group empty."""
        if not len(self.members) or not len(self):
            return False
        whole = self.starts[0] == 0 and self.starts[-1] == len(self.members) and (np.diff(self.starts) > 0).all()
        return bool(whole and self.members.min() >= 0 and self.members.max() < len(self.members))

    def leaders(self) -> NDArray[np.int64]:
        """The first position of each node, ascending: ``(g,)`` int64."""
        leaders: NDArray[np.int64] = self.members[self.starts[:-1]]
        return leaders

    def leaders_of(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """One position of each of ``nodes``, ``(n,)`` int64; -1 stands for none."""
        leaders: NDArray[np.int64] = self.members[self.starts[nodes[nodes >= 0]]]
        return leaders

    def positions(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """All positions of ``nodes``, ``(n,)`` int64; -1 stands for none."""
        found = nodes[nodes >= 0]
        if len(self) == len(self.members):  # nobody has a twin
            alone: NDArray[np.int64] = self.members[found]
            return alone
        starts = self.starts[found]
        sizes = self.starts[found + 1] - starts
        offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        positions: NDArray[np.int64] = self.members[np.repeat(starts, sizes) + offsets]
        return positions

    def alive(self, positions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which nodes any living position has: ``(n,)`` to ``(g,)`` bool."""
        alive: NDArray[np.bool_] = np.logical_or.reduceat(positions[self.members], self.starts[:-1])
        return alive


def _digests(vectors: NDArray[np.floating], positions: NDArray[np.int64]) -> NDArray[np.uint64]:
    """128 bits of each vector's bytes, ``(n, 2)``."""
    blocks = [np.empty(0, dtype=np.uint8)]
    for start in range(0, len(positions), _BLOCK_ROWS):
        # Adding zero turns -0.0 into 0.0, which is the same number.
        rows = vectors[positions[start : start + _BLOCK_ROWS]] + vectors.dtype.type(0)
        digests = b"".join(hashlib.blake2b(row.data, digest_size=16).digest() for row in rows)
        blocks.append(np.frombuffer(digests, dtype=np.uint8))
    return np.concatenate(blocks).view(np.uint64).reshape(-1, 2)
