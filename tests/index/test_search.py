from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_world import answers, build, build_vectors, change, clustered, expected, key, recall
from twinbert.errors import InvalidInputError
from twinbert.index import AnnOptions, BuildOptions, Candidates, Index, Record
from twinbert.index.exact import search_exact

DIMENSION = 32


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("graph") / "x"
    return build_vectors(
        folder, clustered(0, 6_200)[:6_000], BuildOptions(index_key="HNSW16", ef_construction=200, target_recall=None)
    )


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    k=st.integers(1, 50),
    share=st.floats(0, 1),
    kind=st.sampled_from(["<f4", "<f2"]),
    gathered=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_exact_search_finds_what_sorting_everything_finds(
    seed: int, n: int, k: int, share: float, kind: str, gathered: bool
) -> None:
    queries, matrix = clustered(seed, 3), clustered(seed + 1, n).astype(kind)
    alive = np.random.default_rng(seed).random(n) < share
    chosen = {"among": np.flatnonzero(alive)} if gathered else {"alive": alive}
    for query, found in zip(queries, search_exact(queries, matrix, k, **chosen), strict=True):
        ranked = sorted(np.flatnonzero(alive), key=lambda row: -float(matrix[row].astype("f4") @ query))
        assert set(ranked[:k]) <= set(found.tolist()) <= set(np.flatnonzero(alive))
        assert len(found) == len(set(found)) <= k + 2


def test_exact_search_keeps_all_that_tie_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinbert.index.exact.BLOCK_ROWS", 3)
    monkeypatch.setattr("twinbert.index.exact.QUERY_ROWS", 2)
    matrix = np.eye(4, dtype=np.float32)[[0, 1, 1, 2, 1, 3, 0, 1]]
    found = search_exact(np.eye(4, dtype=np.float32)[[1, 0, 3]], matrix, 2)
    assert [sorted(rows.tolist()) for rows in found[:2]] == [[1, 2, 4, 7], [0, 6]]
    assert 5 in found[2]


@pytest.mark.parametrize(
    ("queries", "k", "least"),
    [
        pytest.param(clustered(0, 6_200)[6_000:], 10, 0.98, id="held out"),
        pytest.param(clustered(0, 6_200)[6_000:], 100, 0.98, id="held out, deep"),
        pytest.param(clustered(1, 200), 10, 0.98, id="from elsewhere"),
        pytest.param(clustered(1, 200), 100, 0.97, id="from elsewhere, deep"),
    ],
)
def test_hnsw_finds_the_nearest(graph: Index, queries: np.ndarray, k: int, least: float) -> None:
    right = graph.search(queries, k, AnnOptions(exact=True))
    found = graph.search(queries, k)
    assert graph.info().index_key == "HNSW16"
    assert recall(found, right) >= least
    same = found.rows == right.rows
    assert np.array_equal(found.scores[same], right.scores[same])


def test_ef_search_travels_with_the_call(graph: Index) -> None:
    queries = clustered(2, 200)
    right = graph.search(queries, 10, AnnOptions(exact=True))
    poor = recall(graph.search(queries, 10, AnnOptions(ef_search=1)), right)
    assert poor < recall(graph.search(queries, 10), right)
    assert recall(graph.search(queries, 10, AnnOptions(ef_search=1)), right) == poor


def test_the_family_follows_the_number_of_vectors(tmp_path: Path) -> None:
    options = BuildOptions(flat_below=100)
    assert build_vectors(tmp_path / "few", clustered(3, 99), options).info().index_key == "Flat"
    assert build_vectors(tmp_path / "many", clustered(3, 100), options).info().index_key == "HNSW32,SQ8"


@pytest.mark.parametrize("index_key", ["Flat", "HNSW16"])
def test_deleted_documents_never_come_back(tmp_path: Path, index_key: str) -> None:
    matrix = clustered(4, 1_500)
    index = build_vectors(tmp_path / "x", matrix, BuildOptions(index_key=index_key, dead_share=1.0))
    dead = [f"{number:05d}" for number in range(0, 1_500, 2)]
    with index.writer() as writer:
        writer.delete(dead)
        assert writer.commit().generation == 1
    found = index.search(matrix[:300], 10)
    names = {hit.id for hit in index.stored(np.unique(found.rows))}
    assert names.isdisjoint(dead)
    right = index.search(matrix[:300], 10, AnnOptions(exact=True))
    assert recall(found, right) >= 0.98


def test_k_results_whenever_so_many_live(tmp_path: Path) -> None:
    matrix = clustered(5, 1_200, clusters=2)
    index = build_vectors(tmp_path / "x", matrix, BuildOptions(index_key="HNSW8", dead_share=1.0))
    with index.writer() as writer:
        writer.delete([f"{number:05d}" for number in range(1_000)])
        writer.commit()
    for k in (1, 30, 49, 60, 199, 200):
        assert (index.search(matrix[:20], k).rows >= 0).all()
    beyond = index.search(matrix[:1], 230)
    assert (int((beyond.rows >= 0).sum()), beyond.rows[0, 200:].tolist()) == (200, [-1] * 30)


@pytest.mark.parametrize(
    ("index_key", "message"),
    [
        ("PCA2,IVF4,PQ1x4fs", r"PCA2,IVF4,PQ1x4fs finds only \d\d\.\d% of its own vectors again: use a larger M"),
        ("PCA1,HNSW4", r"the graph has [\d,]+ documents that no search can reach: use a larger M"),
    ],
)
def test_an_index_that_loses_its_own_vectors_is_no_build(tmp_path: Path, index_key: str, message: str) -> None:
    options = BuildOptions(index_key=index_key)
    with pytest.raises(InvalidInputError, match=message):
        build_vectors(tmp_path / "x", clustered(6, 3_000, clusters=500), options)
    assert list((tmp_path / "x" / "segments").glob("[0-9]")) == []


def test_ties_are_ordered_by_id_before_the_cut(tmp_path: Path) -> None:
    documents = dict.fromkeys(("b", "ä", "a", "10", "9", "Z"), "same")
    with build(tmp_path / "x", documents) as index:
        change(index, {"aa": "same", "c": "same"})
        assert [name for name, _ in answers(index, "same", 5)] == ["ä", "c", "b", "aa", "a"]
        index.compact()
        assert answers(index, "same", 5) == expected(documents | {"aa": "same", "c": "same"}, "same", 5)


@pytest.mark.parametrize("index_key", ["Flat", "HNSW16"])
def test_different_vectors_that_tie_are_ordered_by_id(tmp_path: Path, index_key: str) -> None:
    """Every vector stands at the same angle to the query: all tie, and HNSW must notice."""
    generator = np.random.default_rng(7)
    matrix = generator.choice([-1.0, 1.0], (400, DIMENSION)).astype(np.float32)
    matrix[:, 0] = 1
    matrix = np.unique(matrix, axis=0) / np.sqrt(np.float32(DIMENSION))
    index = build_vectors(tmp_path / "x", matrix, BuildOptions(index_key=index_key))
    found = index.search(np.eye(DIMENSION, dtype=np.float32)[:1], 10)
    assert [hit.id for hit in index.stored(found.rows[0])] == [f"{number:05d}" for number in range(399, 389, -1)]


@pytest.mark.parametrize("index_key", ["Flat", "HNSW16"])
def test_rounding_does_not_break_ties(tmp_path: Path, index_key: str) -> None:
    """Permutations of one vector have one true score, which float32 sums miss by a little each."""
    generator = np.random.default_rng(11)
    base = clustered(12, 1)[0]
    matrix = np.stack([generator.permutation(base) for _ in range(300)])
    index = build_vectors(tmp_path / "x", matrix, BuildOptions(index_key=index_key))
    query = np.full((1, DIMENSION), 1 / np.sqrt(DIMENSION), dtype=np.float32)
    found = index.search(query, 10)
    assert len(set((matrix @ query[0]).tolist())) > 1
    assert len(set(found.scores[0].tolist())) == 1
    assert [hit.id for hit in index.stored(found.rows[0])] == [f"{number:05d}" for number in range(299, 289, -1)]


def score_of_each(found: Candidates) -> dict[tuple[int, int], float]:
    return {(place, row): found.scores[place, at] for (place, at), row in np.ndenumerate(found.rows)}


@pytest.mark.parametrize("index_key", ["Flat", "HNSW16"])
def test_answers_do_not_depend_on_company_and_scores_not_on_place(tmp_path: Path, index_key: str) -> None:
    matrix, queries = clustered(8, 700), clustered(9, 70)
    index = build_vectors(tmp_path / "x", matrix[:600], BuildOptions(index_key=index_key))
    with index.writer() as writer:
        keys = [key(f"fresh {number}") for number in range(100)]
        writer.put(Record(f"f{number}", name, "{}") for number, name in enumerate(keys))
        writer.put_vectors(keys, matrix[600:])
        writer.commit()
    together = index.search(queries, 20)
    alone = [index.search(queries[place : place + 1], 20) for place in range(70)]
    assert np.array_equal(together.rows, np.concatenate([one.rows for one in alone]))
    assert np.array_equal(together.scores, np.concatenate([one.scores for one in alone]))
    index.compact()
    moved = index.search(queries, 20)
    before, after = score_of_each(together), score_of_each(moved)
    both = before.keys() & after.keys()
    assert len(both) >= (len(before) if index_key == "Flat" else 0.9 * len(before))
    assert all(before[pair] == after[pair] for pair in both)


def test_searches_in_many_threads_agree(graph: Index) -> None:
    queries = clustered(10, 64)
    right = graph.search(queries, 10)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: graph.search(queries, 10), range(16)):
            assert np.array_equal(found.rows, right.rows)
