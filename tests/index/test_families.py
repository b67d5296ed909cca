"""Index keys: which are taken, which are refused and why, what is chosen, and what each family finds."""

from pathlib import Path

import numpy as np
import pytest
from index_world import build_vectors, clustered, recall
from twinbert.errors import InvalidInputError
from twinbert.index import AnnOptions, BuildOptions
from twinbert.index.choice import choose

DIMENSION = 16
CORPUS, QUERIES = clustered(0, 3_040, DIMENSION)[:3_000], clustered(0, 3_040, DIMENSION)[3_000:]
FAMILIES = [
    "Flat",
    "HNSW16",
    "HNSW16,SQ8",
    "HNSW16,SQfp16",
    "HNSW16_SQbf16",
    "IVF32,Flat",
    "IVF32,SQ8",
    "IVF32,PQ8",
    "IVF32,PQ8x4fs",
    "IVF32_HNSW8,SQ8",
    "OPQ8,IVF32,PQ8x4fs",
    "PCAR12,HNSW16",
    "IVF32,RaBitQ",
]


@pytest.mark.parametrize("vector_type", ["fp32", "fp16"])
@pytest.mark.parametrize("index_key", FAMILIES)
def test_every_family_meets_its_target_and_scores_exactly(tmp_path: Path, index_key: str, vector_type: str) -> None:
    options = BuildOptions(index_key=index_key, vector_type=vector_type, target_k=10, target_recall=0.9)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        found, right = index.search(QUERIES, 10), index.search(QUERIES, 10, AnnOptions(exact=True))
        assert recall(found, right) >= 0.9
        same = found.rows == right.rows
        assert np.array_equal(found.scores[same], right.scores[same])
        stored = CORPUS.astype("f2" if vector_type == "fp16" else "f4").astype(np.float64)
        best = np.sort((QUERIES.astype(np.float64) @ stored.T).astype(np.float32), axis=1)[:, :-11:-1]
        assert np.array_equal(right.scores, best)
        assert index.info().index_key == index_key
        assert index.verify() == []


@pytest.mark.parametrize("index_key", FAMILIES)
def test_deleted_documents_never_come_back_and_k_are_found(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, dead_share=1.0, target_k=10, target_recall=0.9)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        before = recall(index.search(QUERIES, 10), index.search(QUERIES, 10, AnnOptions(exact=True)))
        dead = [f"{number:05d}" for number in range(len(CORPUS)) if number % 10 < 3]
        with index.writer() as writer:
            writer.delete(dead)
            writer.commit()
        found, right = index.search(QUERIES, 10), index.search(QUERIES, 10, AnnOptions(exact=True))
        assert (found.rows >= 0).all()
        assert {hit.id for hit in index.stored(np.unique(found.rows))}.isdisjoint(dead)
        assert recall(found, right) >= before - 0.03


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("IDMap2,Flat", "cannot be used: it keeps ids of its own"),
        ("IDMap,IVF64,Flat", "cannot be used: it keeps ids of its own"),
        ("NSG32", "cannot be used: it cannot leave deleted documents out; use HNSW"),
        ("PQ8", "cannot be used: it cannot leave deleted documents out; put IVF<n>, before it"),
        ("OPQ8,PQ8", "cannot be used: it cannot leave deleted documents out; put IVF<n>, before it"),
        ("LSH", "cannot be used: it cannot leave deleted documents out"),
        ("HNSW32_PQ8", "cannot be used: a graph over product codes"),
        ("IVF64,PQ8,RFlat", "cannot be used: candidates are refined from the index's own exact vectors already"),
        ("IVF64,FlatDedup", "cannot be used: equal vectors are stored once already"),
        ("IMI2x4,PQ8", "cannot be used: FAISS's multi-index takes no inner product"),
        ("IVF99999999,Flat", "cannot be used: a number in it is above 1,048,576"),
        ("HNSW", "is not known: use HNSW<M> with M from 4 to 128"),
        ("HNSW3", "is not known: use HNSW<M> with M from 4 to 128"),
        ("HNSW129", "is not known: use HNSW<M> with M from 4 to 128"),
        ("", "is not known: use a key like Flat, HNSW32"),
        ("IVF64,Flät", "is not known: use a key like Flat, HNSW32"),
    ],
)
def test_unsafe_keys_are_refused_by_name(name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"index key '{name}' {message}"):
        BuildOptions(index_key=name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("flat", "is not known to FAISS for 16 dimensions"),
        ("IVF32,PQ7", "is not known to FAISS for 16 dimensions"),
        ("SQ8", "makes a IndexScalarQuantizer, which is not supported"),
        ("L2norm,Flat", "makes a IndexFlat, which is not supported"),
    ],
)
def test_keys_that_do_not_fit_leave_no_folder_behind(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"index key '{name}' {message}"):
        build_vectors(tmp_path / "x", CORPUS, BuildOptions(index_key=name))
    assert not (tmp_path / "x").exists()


def test_a_key_of_the_other_family_s_effort_is_refused(tmp_path: Path) -> None:
    graph = build_vectors(tmp_path / "g", CORPUS, BuildOptions(index_key="HNSW16"), QUERIES)
    with graph, pytest.raises(InvalidInputError, match="nprobe is of inverted lists, this index is HNSW16"):
        graph.search(QUERIES, 10, AnnOptions(nprobe=4))
    lists = build_vectors(tmp_path / "l", CORPUS, BuildOptions(index_key="IVF32,Flat"), QUERIES)
    with lists, pytest.raises(InvalidInputError, match="ef_search is of HNSW graphs, this index is IVF32,Flat"):
        lists.search(QUERIES, 10, AnnOptions(ef_search=40))


def test_effort_travels_with_the_call(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS, BuildOptions(index_key="IVF32,PQ8"), QUERIES) as index:
        right = index.search(QUERIES, 10, AnnOptions(exact=True))
        poor = recall(index.search(QUERIES, 10, AnnOptions(nprobe=1, refine=1)), right)
        rich = recall(index.search(QUERIES, 10, AnnOptions(nprobe=32, refine=40)), right)
        assert poor < recall(index.search(QUERIES, 10), right) <= rich == 1
        assert recall(index.search(QUERIES, 10, AnnOptions(nprobe=1, refine=1)), right) == poor


def test_a_family_that_needs_more_vectors_is_exact_until_then(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS[:200], BuildOptions(index_key="IVF256,Flat")) as index:
        assert (index.info().index_key, index.info().reason) == (
            "Flat",
            "IVF256,Flat is trained from 256 distinct vectors on: exact until then",
        )
        found = index.search(QUERIES, 10)
        assert np.array_equal(found.rows, index.search(QUERIES, 10, AnnOptions(exact=True)).rows)


MB = 1_000_000


@pytest.mark.parametrize(
    ("count", "memory", "key"),
    [
        (9_999, None, "Flat"),
        (10_000, None, "HNSW32,SQ8"),
        (1_000_000, 1_100 * MB, "HNSW32,SQ8"),
        (1_000_000, 800 * MB, "IVF4096,SQ8"),
        (1_000_000, 500 * MB, "IVF4096,PQ96x4fs"),
    ],
)
def test_the_family_is_chosen_by_count_and_memory(count: int, memory: int | None, key: str) -> None:
    choice = choose(count, 384, BuildOptions(memory=memory))
    assert choice.index_key == key
    assert memory is None or choice.build_bytes <= memory


def test_exact_search_keeps_the_memory_too() -> None:
    with pytest.raises(
        InvalidInputError, match=r"1,000 vectors .* at least 27 MB to build, memory is 20 MB: give more memory$"
    ):
        choose(1_000, 384, BuildOptions(memory=20 * MB))
    with pytest.raises(InvalidInputError, match="Flat over 1,000 vectors needs 27 MB to build, memory is 20 MB"):
        choose(1_000, 384, BuildOptions(memory=20 * MB, index_key="Flat"))
    assert choose(1_000, 384, BuildOptions(memory=30 * MB)).index_key == "Flat"


def test_what_fits_no_memory_is_refused_with_what_it_would_take() -> None:
    with pytest.raises(
        InvalidInputError, match=r"1,000,000 vectors .* at least \d+ MB to build, .*, or use index_key Flat$"
    ):
        choose(1_000_000, 384, BuildOptions(memory=100 * MB))
    with pytest.raises(InvalidInputError, match=r"HNSW32 over 1,000,000 vectors needs 2,\d+ MB to build"):
        choose(1_000_000, 384, BuildOptions(memory=100 * MB, index_key="HNSW32"))


@pytest.mark.parametrize("index_key", ["HNSW16", "HNSW16,SQ8", "IVF32,Flat", "IVF32,SQ8", "IVF32,PQ8x4fs"])
def test_the_estimated_size_is_near_the_truth(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, target_recall=None)
    estimate = choose(len(CORPUS), DIMENSION, options).ann_bytes
    build_vectors(tmp_path / "x", CORPUS, options).close()
    size = (tmp_path / "x" / "segments" / "1" / "ann.faiss").stat().st_size
    assert 0.75 * size <= estimate <= 1.35 * size
