"""Compaction extends a copy of the ANN index, or makes a new one where the copy would not do."""

from pathlib import Path

import faiss
import numpy as np
import pytest
from index_world import build_vectors, clustered, put_rows, recall
from twinbert.errors import IndexDamagedError
from twinbert.index import AnnOptions, BuildOptions, Index

CORPUS, QUERIES = clustered(0, 3_100)[:3_000], clustered(0, 3_100)[3_000:]
FAMILIES = ["HNSW16", "HNSW16,SQ8", "IVF16,SQ8", "IVF16,PQ8x4fs"]


def grown(index: Index, matrix: np.ndarray, start: int, delete: range = range(0)) -> None:
    with index.writer() as writer:
        put_rows(writer, matrix, start)
        writer.delete(f"{number:05d}" for number in delete)
        writer.commit(compact=True)


def faiss_rows(index: Index) -> int:
    path = index.path / "segments" / str(index.info().generation) / "ann.faiss"
    return int(faiss.read_index(str(path)).ntotal)


def centroids(index: Index) -> np.ndarray:
    lists = faiss.read_index(str(index.path / "segments" / str(index.info().generation) / "ann.faiss"))
    return faiss.vector_to_array(faiss.downcast_index(lists.quantizer).codes).view("f4")


def check(index: Index, documents: int) -> None:
    found, right = index.search(QUERIES, 10), index.search(QUERIES, 10, AnnOptions(exact=True))
    assert recall(found, right) >= 0.9
    info = index.info()
    assert (info.documents, info.fresh, info.dead) == (documents, 0, 0)
    assert index.verify() == []


@pytest.mark.parametrize("index_key", FAMILIES)
def test_a_grown_tail_is_added_to_a_copy_and_the_dead_keep_their_places(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, target_k=10)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        for step in range(3):
            grown(index, clustered(step + 1, 100), 3_000 + 100 * step, delete=range(100 * step, 100 * step + 100))
            check(index, 3_000)
            assert faiss_rows(index) == 3_000 + 100 * (step + 1)
        names = {hit.id for hit in index.stored(np.unique(index.search(CORPUS[:300], 10).rows))}
        assert names.isdisjoint(f"{number:05d}" for number in range(300))
        assert index.info().vectors == 3_000


@pytest.mark.parametrize("index_key", FAMILIES)
def test_too_many_dead_make_a_new_one(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, dead_share=0.25, target_k=10)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        grown(index, clustered(1, 100), 3_000, delete=range(900))
        check(index, 2_200)
        assert faiss_rows(index) == 2_200


def test_inverted_lists_that_have_doubled_are_trained_anew(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS[:1_000], BuildOptions(index_key="IVF16,Flat"), QUERIES) as index:
        trained = centroids(index)
        grown(index, CORPUS[1_000:2_000], 1_000)
        assert np.array_equal(centroids(index), trained)
        grown(index, CORPUS[2_000:2_010], 2_000)
        assert not np.array_equal(centroids(index), trained)


def test_a_lost_target_makes_a_new_one(tmp_path: Path) -> None:
    """Codes trained on one subject cannot tell another's documents apart."""
    near, far = clustered(0, 1_500, clusters=1), clustered(7, 1_060, clusters=400)
    options = BuildOptions(index_key="IVF16,PQ4x4fs", target_k=10, target_recall=0.6, dead_share=1.0)
    with build_vectors(tmp_path / "x", near, options, far[1_000:]) as index:
        trained = centroids(index)
        assert index.info().tuning.met
        grown(index, far[:1_000], 1_500)
        assert not np.array_equal(centroids(index), trained)


def test_equal_vectors_join_the_nodes_that_are_there(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS, BuildOptions(index_key="HNSW16")) as index:
        grown(index, np.concatenate([CORPUS[:50], clustered(1, 10)]), 3_000)
        assert faiss_rows(index) == 3_010
        assert index.info().vectors == 3_060
        found = index.search(CORPUS[:50], 2)
        names = [{hit.id for hit in index.stored(rows)} for rows in found.rows]
        assert names == [{f"{number:05d}", f"{number + 3_000:05d}"} for number in range(50)]


@pytest.mark.parametrize("name", ["ann.faiss", "members.npy", "nodes.npy", "queries.npy"])
def test_what_is_derived_is_made_anew(tmp_path: Path, name: str) -> None:
    with build_vectors(tmp_path / "x", CORPUS, BuildOptions(index_key="HNSW16", target_k=10), QUERIES) as index:
        right = index.search(QUERIES, 10, AnnOptions(exact=True)).rows
    path = tmp_path / "x" / "segments" / "1" / name
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(IndexDamagedError, match=f"{name} has .* bytes instead of"):
        Index.open(tmp_path / "x")
    assert Index.rebuild(tmp_path / "x") == 2
    with Index.open(tmp_path / "x") as index:
        assert np.array_equal(index.search(QUERIES, 10, AnnOptions(exact=True)).rows, right)
        check(index, 3_000)
