"""HNSW over unit vectors, by FAISS: build, check, load, search without touching shared state.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", IEEE TPAMI 42(4), 2020.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError, InvalidInputError
from .options import BuildOptions, links
from .twins import Twins

_faiss: Any = faiss  # its type stubs lack what only SWIG's classes have
ADD_ROWS = 65_536
SELF_RECALL = 0.98
"""Share of sampled vectors that must find themselves, or one as near, among their ten best."""
_SAMPLE, _NEIGHBOURS, _AS_NEAR = 1_000, 10, 1e-5


class Graph:
    """A searchable HNSW graph of distinct vectors. Never add to one: a mapped graph would abort the process.

    twins: the positions that each of its nodes stands for.
    """

    def __init__(self, index: faiss.Index, twins: Twins) -> None:
        self._index: Any = index
        self.twins = twins

    @classmethod
    def build(cls, vectors: NDArray[np.float32], index_key: str, options: BuildOptions) -> Graph:
        """Link the distinct ones of ``vectors`` ``(n, dim)``, unit rows.

        Raises InvalidInputError when the vectors cannot be found again by the graph.
        """
        index = faiss.IndexHNSWFlat(vectors.shape[1], links(index_key), faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = options.ef_construction
        twins = Twins.among(vectors)
        leaders = twins.leaders()
        for start in range(0, len(leaders), ADD_ROWS):
            index.add(vectors[leaders[start : start + ADD_ROWS]])
        graph = cls(index, twins)
        recall = graph.self_recall(vectors, options.ef_search)
        if recall < SELF_RECALL:
            raise InvalidInputError(
                f"{index_key} finds only {recall:.1%} of its own vectors again: use a larger M, "
                "ef_construction or ef_search, or index_key Flat"
            )
        return graph

    @classmethod
    def load(cls, path: Path, twins: Twins, dimension: int) -> Graph:
        """Map a graph that was written over such vectors; raises IndexDamagedError when it is not one."""
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise IndexDamagedError(f"{path} is damaged: restore it or build the index again") from error
        if (index.ntotal, index.d) != (len(twins), dimension):
            raise IndexDamagedError(f"{path} does not belong to its vectors: restore it or build the index again")
        return cls(index, twins)

    def save(self, path: Path) -> None:
        """Write the graph with its vectors to a new file; raises IndexFolderError when that fails."""
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise IndexFolderError(f"{path} cannot be written: free space and try again") from error

    def search(
        self, queries: NDArray[np.float32], k: int, ef_search: int, alive: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The nearest live nodes that the graph finds.

        queries: ``(n_queries, dim)`` float32 unit rows. alive: ``(g,)`` False for nodes to leave out.

        Returns nodes and inner products, ``(n_queries, k)`` int64 and float32, best first, -1 where it
        found fewer.
        """
        selector = None if alive is None else _faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
        parameters = _faiss.SearchParametersHNSW(efSearch=max(ef_search, k), sel=selector)
        scores, nodes = self._index.search(np.ascontiguousarray(queries), k, params=parameters)
        return nodes, scores

    def self_recall(self, vectors: NDArray[np.float32], ef_search: int) -> float:
        """Share of up to 1,000 distinct vectors that find themselves, or ten as near as themselves, in the graph."""
        if not len(self.twins):
            return 1.0
        own = np.unique(np.linspace(0, len(self.twins) - 1, _SAMPLE, dtype=np.int64))
        nodes, scores = self.search(vectors[self.twins.leaders()[own]], _NEIGHBOURS, ef_search)
        found = (nodes == own[:, None]).any(axis=1) | (scores[:, -1] >= 1 - _AS_NEAR)
        return float(found.mean())
