"""Equal vectors under different keys: a graph holds each once, and no document is lost beside them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_world import build_vectors, clustered, key
from twinbert.index import AnnOptions, BuildOptions, Index, Record
from twinbert.index.twins import Twins

GROUPS, SIZE, ALONE = 3, 150, 900
OPTIONS = BuildOptions(index_key="HNSW16")


def crowded() -> np.ndarray:
    """900 vectors of their own around three groups of 150 equal ones."""
    alone = clustered(20, ALONE + GROUPS)
    return np.concatenate([alone[: ALONE // 2], np.repeat(alone[ALONE:], SIZE, axis=0), alone[ALONE // 2 : ALONE]])


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return build_vectors(tmp_path_factory.mktemp("twins") / "x", crowded(), OPTIONS)


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 1.0]), max_size=30))
def test_positions_are_grouped_by_equal_vectors(values: list[float]) -> None:
    twins = Twins.among(np.array(values, dtype=np.float32).reshape(-1, 1))
    groups: dict[float, list[int]] = {}
    for position, value in enumerate(values):
        groups.setdefault(value, []).append(position)
    assert twins.leaders().tolist() == [group[0] for group in groups.values()]
    for node, group in enumerate(groups.values()):
        assert twins.positions(np.array([-1, node])).tolist() == group
    assert twins.sound() == bool(values)


def test_a_node_lives_while_any_of_its_positions_does() -> None:
    twins = Twins.among(np.array([[1], [2], [1], [2], [3]], dtype=np.float32))
    assert twins.alive(np.array([False, False, True, False, True])).tolist() == [True, False, True]


def test_many_equal_vectors_hide_nobody(index: Index) -> None:
    matrix = crowded()
    own = np.r_[: ALONE // 2, len(matrix) - ALONE // 2 : len(matrix)]
    found = index.search(matrix[own], 1)
    assert [hit.id for hit in index.stored(found.rows[:, 0])] == [f"{number:05d}" for number in own]
    assert index.verify() == []


def test_all_documents_of_equal_vectors_tie_by_id(index: Index) -> None:
    matrix = crowded()
    (found,) = index.search(matrix[ALONE // 2 : ALONE // 2 + 1], 20).rows
    last = ALONE // 2 + SIZE - 1
    assert [hit.id for hit in index.stored(found)] == [f"{number:05d}" for number in range(last, last - 20, -1)]


def test_deleting_one_of_equal_vectors_leaves_the_others(tmp_path: Path) -> None:
    matrix = crowded()
    first = ALONE // 2
    with build_vectors(tmp_path / "x", matrix, OPTIONS) as index:
        with index.writer() as writer:
            writer.delete([f"{number:05d}" for number in range(first, first + SIZE - 1)])
            writer.commit()
        found = index.search(matrix[first : first + 1], 10)
        assert index.stored(found.rows[0, :1])[0].id == f"{first + SIZE - 1:05d}"
        exact = index.search(matrix[first : first + 1], 10, AnnOptions(exact=True))
        assert np.array_equal(found.rows, exact.rows)
        with index.writer() as writer:
            writer.delete([f"{first + SIZE - 1:05d}"])
            writer.commit()
        assert index.search(matrix[first : first + 1], 1).scores[0, 0] < 0.999


def test_equal_vectors_that_come_later_are_compacted(tmp_path: Path) -> None:
    matrix = crowded()
    late = np.repeat(clustered(21, 1), 400, axis=0)
    with build_vectors(tmp_path / "x", matrix, OPTIONS) as index:
        keys = [key(f"late {number}") for number in range(len(late))]
        with index.writer() as writer:
            writer.put(Record(f"late {number:03d}", name, "{}") for number, name in enumerate(keys))
            writer.put_vectors(keys, late)
            assert writer.commit(compact=True).generation == 2
        assert index.stored(index.search(late[:1], 1).rows[0])[0].id == "late 399"
        assert index.verify() == []
