"""Filters and deletions over approximate indexes: k results whenever k exist, at the recall that there is without."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from index_world import key
from test_search import clustered
from twinbert.index import AnnOptions, BuildOptions, Candidates, Condition, Index, IndexSchema, Record, value_at
from twinbert.index.effort import effort_of

COUNT, DIMENSION = 8_000, 32
MATRIX = clustered(0, COUNT + 100)
QUERIES = MATRIX[COUNT:]
DRAWN, NEAR, NUMBER = '$."drawn"', '$."near"', '$."n"'


def nearness() -> np.ndarray:
    """How near each row is to the first, as its share of the rows that are nearer."""
    order = np.argsort(-(MATRIX[:COUNT] @ MATRIX[0]))
    ranks = np.empty(COUNT)
    ranks[order] = np.arange(COUNT) / COUNT
    return ranks


@pytest.fixture(scope="module", params=["HNSW16", "IVF64,Flat", "HNSW16,SQ8"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    options = BuildOptions(index_key=request.param, filterable=(DRAWN,), dead_share=1.0)
    index = Index.create(tmp_path_factory.mktemp("planning") / "x", IndexSchema("s", DIMENSION, "m"), options)
    drawn = np.random.default_rng(1).random(COUNT)
    facts = [{"drawn": one, "near": other} for one, other in zip(drawn.tolist(), nearness().tolist(), strict=True)]
    with index.writer(replace=True) as writer:
        keys = [key(str(number)) for number in range(COUNT)]
        writer.put(Record(f"{place:05d}", keys[place], json.dumps(fact)) for place, fact in enumerate(facts))
        writer.put_vectors(keys, MATRIX[:COUNT])
        writer.commit()
    return index


def recall(found: Candidates, right: Candidates) -> float:
    """Share of what is right that was found; of nothing, all."""
    pairs = [(set(one[one >= 0]), set(other[other >= 0])) for one, other in zip(found.rows, right.rows, strict=True)]
    return float(np.mean([len(one & other) / len(other) if other else not one for one, other in pairs]))


@cache
def unfiltered(index: Index, k: int) -> float:
    return recall(index.search(QUERIES, k), index.search(QUERIES, k, AnnOptions(exact=True)))


def below(path: str, share: float) -> Condition:
    return Condition(f"{value_at(path)} < ?", (share,))


@pytest.mark.parametrize("share", [0.98, 0.6, 0.3, 0.05, 0.002])
@pytest.mark.parametrize("path", [DRAWN, NEAR], ids=["anywhere", "one topic"])
@pytest.mark.parametrize("k", [10, 50])
def test_k_are_found_and_the_right_ones(index: Index, path: str, share: float, k: int) -> None:
    where = below(path, share)
    found, right = index.search(QUERIES, k, where=where), index.search(QUERIES, k, AnnOptions(exact=True), where)
    assert ((found.rows >= 0) == (right.rows >= 0)).all()
    there = int((right.rows[0] >= 0).sum())
    assert there == min(k, int(COUNT * share)) or path == DRAWN
    assert recall(found, right) >= min(unfiltered(index, k), 0.99) - 0.005


def test_nothing_that_does_not_match_is_found(index: Index) -> None:
    where = below(NEAR, 0.4)
    for stored in index.stored(np.unique(index.search(QUERIES, 10, where=where).rows)):
        assert json.loads(stored.payload)["near"] < 0.4


@pytest.mark.parametrize(("share", "way"), [(0.99, "selector"), (0.7, "plan"), (0.002, "exact")])
def test_the_way_follows_what_matches(index: Index, share: float, way: str) -> None:
    snapshot = index._selections.narrowed(below(DRAWN, share))
    assert snapshot.segment.ann is not None
    effort = effort_of(snapshot, snapshot.segment.ann, 10, AnnOptions())
    assert way == ("exact" if effort is None else "selector" if effort.plan is None else "plan")


def test_where_little_that_is_near_matches_it_looks_further(index: Index) -> None:
    """Queries from the middle of what does not match: the graph's own nearest are all left out."""
    far = Condition(f"{value_at(NEAR)} > ?", (0.3,))
    queries = MATRIX[np.argsort(nearness())[:50]]
    found, right = index.search(queries, 10, where=far), index.search(queries, 10, AnnOptions(exact=True), far)
    assert recall(found, right) >= 0.985
    assert (found.rows >= 0).all()


def test_filters_among_the_living(tmp_path: Path) -> None:
    options = BuildOptions(index_key="HNSW16", dead_share=1.0, flat_below=0)
    index = Index.create(tmp_path / "x", IndexSchema("s", DIMENSION, "m"), options)
    with index.writer(replace=True) as writer:
        keys = [key(str(number)) for number in range(3_000)]
        writer.put(Record(f"{n:05d}", name, json.dumps({"n": n})) for n, name in enumerate(keys))
        writer.put_vectors(keys, MATRIX[:3_000])
        writer.commit()
    with index.writer() as writer:
        writer.delete([f"{number:05d}" for number in range(0, 3_000, 3)])
        fresh = [key(f"fresh {number}") for number in range(100)]
        writer.put(Record(f"f{n:04d}", name, json.dumps({"n": 3_000 + n})) for n, name in enumerate(fresh))
        writer.put_vectors(fresh, MATRIX[3_000:3_100])
        writer.commit()
    for low, count in ((0, 2_100), (1_500, 1_100), (2_940, 140), (3_000, 100), (3_095, 5), (3_100, 0)):
        where = Condition(f"{value_at(NUMBER)} >= ?", (low,))
        found = index.search(QUERIES[:40], 120, where=where)
        numbers = [json.loads(stored.payload)["n"] for stored in index.stored(np.unique(found.rows[found.rows >= 0]))]
        assert all(n >= low and (n >= 3_000 or n % 3) for n in numbers)
        assert ((found.rows >= 0).sum(axis=1) == min(120, count)).all()
        assert recall(found, index.search(QUERIES[:40], 120, AnnOptions(exact=True), where)) >= 0.98
