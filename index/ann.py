"""A FAISS index over a segment's distinct vectors: load, search without touching shared state, look for the lost.

Sources: HNSW is Malkov and Yashunin, IEEE TPAMI 42(4), 2020; IVF and product codes are Jégou, Douze and Schmid, IEEE
TPAMI 33(1), 2011; all by FAISS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError
from .keys import Family, Kind, inner_of
from .reach import mend
from .twins import Twins

_faiss: Any = faiss  # its type stubs lack what only SWIG's classes have

SPARE = 8
"""Neighbours asked for beyond those wanted, so that vectors tying with the last are seen."""


class Selector:
    """The nodes that a search may answer with; made once for many searches, in any thread.

    alive: ``(g,)`` False for nodes to leave out.
    """

    def __init__(self, alive: NDArray[np.bool_]) -> None:
        self._bits = np.packbits(alive, bitorder="little")  # FAISS keeps a pointer to it
        self.faiss = _faiss.IDSelectorBitmap(self._bits)
        self.count = int(np.count_nonzero(alive))
        self._alive = alive

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self._alive.nbytes + self._bits.nbytes

    def among(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of ``nodes``, ``(n,)``, that a search may answer with, in their order; -1 stands for none."""
        found = nodes[nodes >= 0]
        return found[self._alive[found]]


class Ann:
    """A searchable FAISS index of distinct vectors. Never add to one: a mapped index would abort the process.

    family: what its key makes. twins: the positions that each of its nodes stands for.
    """

    def __init__(self, index: Any, family: Family, twins: Twins) -> None:  # noqa: ANN401
        self._index = index
        self.family, self.twins = family, twins

    @classmethod
    def load(cls, path: Path, family: Family, twins: Twins, dimension: int) -> Ann:
        """Map an index that was written over such vectors; raises IndexDamagedError when it is not one."""
        index = read(path, mapped=True)
        if (index.ntotal, index.d) != (len(twins), dimension):
            raise IndexDamagedError(f"{path} does not belong to its vectors: twinbert index rebuild makes it anew")
        return cls(index, family, twins)

    def save(self, path: Path) -> None:
        """Write the index to a new file; raises IndexFolderError when that fails."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise IndexFolderError(f"{path} cannot be written: free space and try again") from error

    def mend(self) -> None:
        """Let every node be reachable, before anybody searches; see ``reach``."""
        if self.family.kind is Kind.HNSW:
            mend(inner_of(self._index).hnsw)

    def search(
        self, queries: NDArray[np.float32], k: int, visits: int, selector: Selector | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest nodes that the index finds.

        queries: ``(n_queries, dim)`` float32 unit rows. visits: efSearch (never below ``k`` in effect) or nprobe.

        Returns nodes and inner products as its codes have them, ``(n_queries, k)`` int64 and float32, best first, -1
        where it found fewer.
        """
        parameters = self._parameters(k, visits, selector)
        try:
            scores, nodes = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        except RuntimeError as error:
            raise IndexDamagedError("the ANN index is damaged: twinbert index rebuild makes it anew") from error
        return nodes, scores

    def _parameters(self, k: int, visits: int, selector: Selector | None) -> Any:  # noqa: ANN401
        chosen = {} if selector is None else {"sel": selector.faiss}
        if self.family.kind is Kind.HNSW:
            inner = _faiss.SearchParametersHNSW(efSearch=max(min(visits, len(self.twins)), k), **chosen)
        else:
            inner = _faiss.SearchParametersIVF(nprobe=min(visits, self.family.lists), **chosen)
        if isinstance(self._index, _faiss.IndexPreTransform):
            return _faiss.SearchParametersPreTransform(index_params=inner)
        return inner


def read(path: Path, *, mapped: bool) -> Any:  # noqa: ANN401
    """FAISS's own index in a file; raises IndexDamagedError when it cannot be read."""
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mapped else 0)
    except (RuntimeError, MemoryError) as error:  # sizes that it cannot have, some of them too large for the memory
        raise IndexDamagedError(f"{path} is damaged: twinbert index rebuild makes it anew") from error
