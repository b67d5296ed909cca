"""Equal vectors under different keys: texts that differ and tokenise alike, or are cut to the same beginning.

HNSW loses vectors beside large groups of equal ones, so a graph holds each group once, as a node. Positions are
those of a segment's vectors; nodes are numbered by the first position of their group::

    members.npy   (n,) int64: positions, those of node 0 first    nodes.npy   (g + 1,) int64: the members of node j
                                                                              are nodes[j] to nodes[j + 1]
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Twins:
    """Which positions each node stands for: ``members`` ``(n,)`` and ``starts`` ``(g + 1,)``, int64."""

    members: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def among(cls, vectors: NDArray[np.float32]) -> Twins:
        """Group ``vectors`` ``(n, dim)`` float32 by their bytes."""
        digests = np.array([_digest(vector) for vector in vectors], dtype=np.uint64).reshape(-1, 2)
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

    def positions(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """All positions of ``nodes``, ``(n,)`` int64; -1 stands for none."""
        found = nodes[nodes >= 0]
        starts = self.starts[found]
        sizes = self.starts[found + 1] - starts
        offsets = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        positions: NDArray[np.int64] = self.members[np.repeat(starts, sizes) + offsets]
        return positions

    def alive(self, positions: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which nodes any living position has: ``(n,)`` to ``(g,)`` bool."""
        alive: NDArray[np.bool_] = np.logical_or.reduceat(positions[self.members], self.starts[:-1])
        return alive


def _digest(vector: NDArray[np.float32]) -> tuple[int, int]:
    # Adding zero turns -0.0 into 0.0, which is the same number.
    digest = hashlib.blake2b((vector + np.float32(0)).tobytes(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
