"""Finds nodes of an HNSW graph that no search can reach, and links them again.

FAISS keeps the nearest links of a node and drops others, so that a node may lose all that lead to it, now and then in
a large graph. Nothing of such a graph looks wrong, and a document is lost. A node is reachable when a chain of links on
the lowest layer leads to it from the entry point.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError

_faiss: Any = faiss  # its type stubs lack what only SWIG's classes have
_BLOCK_NODES = 16_384
_LINKS = 4
_ROUNDS = 5
"""A link that is given to one may be the last of another: so it is looked again, so many times at most."""


def mend(hnsw: Any) -> int:  # noqa: ANN401
    """Let every node of FAISS's ``hnsw``, in memory, be reachable; how many were not.

    Each unreachable node becomes a neighbour of the nearest of its own neighbours that can spare a link: of those
    they have, the one that most links lead to gives way. Raises InvalidInputError where this does not help.
    """
    links, entry = _Links(hnsw), int(hnsw.entry_point)
    lost = links.unreachable(entry)
    first = len(lost)
    for _ in range(_ROUNDS):
        if not len(lost):
            return first
        links.lead_to(lost)
        lost = links.unreachable(entry)
    raise InvalidInputError(f"the graph has {len(lost):,} documents that no search can reach: use a larger M")


class _Links:
    """The links on the lowest layer of a graph: what is written here changes it."""

    def __init__(self, hnsw: Any) -> None:  # noqa: ANN401
        self._flat = _faiss.rev_swig_ptr(hnsw.neighbors.data(), hnsw.neighbors.size())
        self._offsets = _faiss.vector_to_array(hnsw.offsets)[:-1].astype(np.int64)
        self._slots = np.arange(hnsw.nb_neighbors(0))

    def unreachable(self, entry: int) -> NDArray[np.int64]:
        """Nodes that no chain of links leads to."""
        seen = np.zeros(len(self._offsets), dtype=np.bool_)
        seen[entry] = True
        front = np.array([entry])
        while len(front):
            ahead = np.zeros_like(seen)
            for links in self._blocks(front):
                ahead[links] = True
            front = np.flatnonzero(ahead & ~seen)
            seen[front] = True
        return np.flatnonzero(~seen)

    def lead_to(self, lost: NDArray[np.int64]) -> None:
        """Give each of these nodes links that lead to it."""
        leading = np.zeros(len(self._offsets), dtype=np.int64)
        for links in self._blocks(np.arange(len(self._offsets))):
            leading += np.bincount(links, minlength=len(leading))
        for node in lost.tolist():
            row = self._row(node)
            near = reversed(row[row >= 0].tolist())  # FAISS has the nearest last
            given = 0
            while given < _LINKS and (neighbour := next(near, None)) is not None:
                given += self._replace(neighbour, node, leading)

    def _replace(self, neighbour: int, node: int, leading: NDArray[np.int64]) -> bool:
        places, row = self._offsets[neighbour] + self._slots, self._row(neighbour)
        if (row < 0).any():
            place = int(np.argmin(row))
        else:
            place = int(np.argmax(leading[row]))
            if leading[row[place]] < 2:
                return False
            leading[row[place]] -= 1
        self._flat[places[place]] = node
        leading[node] += 1
        return True

    def _row(self, node: int) -> NDArray[np.int32]:
        row: NDArray[np.int32] = self._flat[self._offsets[node] + self._slots]
        return row

    def _blocks(self, nodes: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
        """All nodes that links of these lead to, some at a time."""
        for start in range(0, len(nodes), _BLOCK_NODES):
            links = self._flat[self._offsets[nodes[start : start + _BLOCK_NODES], None] + self._slots].ravel()
            yield links[links >= 0]
