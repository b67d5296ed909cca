"""Every node of a graph can be reached: what FAISS's pruning has lost is linked again."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from index_world import build_vectors, clustered, put_rows
from twinbert.index import BuildOptions, Index
from twinbert.index.reach import mend

CORPUS = clustered(0, 3_000)


def walked(hnsw: object) -> set[int]:
    """The oracle: follow every link of the lowest layer, one by one."""
    offsets, flat = faiss.vector_to_array(hnsw.offsets), faiss.vector_to_array(hnsw.neighbors)
    most, seen, front = hnsw.nb_neighbors(0), {hnsw.entry_point}, [hnsw.entry_point]
    while front:
        start = int(offsets[front.pop()])
        new = {int(node) for node in flat[start : start + most] if node >= 0} - seen
        seen |= new
        front += new
    return seen


def cut_off(index: faiss.IndexHNSWFlat, nodes: list[int], *, full: bool) -> None:
    """Take away all links on the lowest layer that lead to these nodes; full: leave no free place, either."""
    offsets = faiss.vector_to_array(index.hnsw.offsets)
    flat = faiss.rev_swig_ptr(index.hnsw.neighbors.data(), index.hnsw.neighbors.size())
    for start in offsets[:-1].astype(int):
        row = flat[start : start + index.hnsw.nb_neighbors(0)]
        kept = row[~np.isin(row, nodes) & (row >= 0)]
        row[:] = kept[0] if full else -1
        row[: len(kept)] = kept


@pytest.fixture
def graph() -> faiss.IndexHNSWFlat:
    index = faiss.IndexHNSWFlat(CORPUS.shape[1], 8, faiss.METRIC_INNER_PRODUCT)
    index.add(CORPUS)
    return index


@pytest.mark.parametrize("full", [False, True])
def test_lost_nodes_are_found_and_linked_again(graph: faiss.IndexHNSWFlat, full: bool) -> None:
    everything = set(range(len(CORPUS)))
    lost = [int(node) for node in np.flatnonzero(faiss.vector_to_array(graph.hnsw.levels) == 1)[::100]]
    cut_off(graph, lost, full=full)
    before = walked(graph.hnsw)
    assert before <= everything - set(lost)
    assert mend(graph.hnsw) == len(everything - before)
    assert walked(graph.hnsw) == everything
    assert mend(graph.hnsw) == 0
    found = graph.search(CORPUS[lost], 1, params=faiss.SearchParametersHNSW(efSearch=300))[1][:, 0]
    assert found.tolist() == lost


@pytest.mark.parametrize("index_key", ["HNSW8", "HNSW8,SQ8", "PCA16,HNSW8"])
def test_every_document_of_an_index_can_be_reached(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, ef_construction=8, target_recall=None)
    with build_vectors(tmp_path / "x", CORPUS, options) as index:
        assert_whole(index, len(CORPUS))
        with index.writer() as writer:
            put_rows(writer, clustered(1, 200), start=len(CORPUS))
            writer.commit(compact=True)
        assert_whole(index, len(CORPUS) + 200)


def assert_whole(index: Index, nodes: int) -> None:
    path = index.path / "segments" / str(index.info().generation) / "ann.faiss"
    whole = faiss.read_index(str(path))
    inner = faiss.downcast_index(whole.index) if isinstance(whole, faiss.IndexPreTransform) else whole
    assert walked(inner.hnsw) == set(range(nodes))
