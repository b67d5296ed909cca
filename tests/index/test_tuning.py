"""The recall target: what is measured, what is chosen, what is said where it cannot be met."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from index_world import build_vectors, change, clustered, put_rows, recall
from twinbert.errors import InvalidInputError
from twinbert.index import AnnOptions, BuildOptions, Index, Tuning
from twinbert.index.tuning import perturbed

EVERYTHING = clustered(0, 6_300)
CORPUS, QUERIES, HELD_OUT = EVERYTHING[:6_000], EVERYTHING[6_000:6_150], EVERYTHING[6_150:]
OPTIONS = BuildOptions(index_key="HNSW16", target_k=10)


def tuning_of(index: Index) -> Tuning:
    tuning = index.info().tuning
    assert tuning is not None
    return tuning


@pytest.mark.parametrize("target", [0.8, 0.9, 0.95, 0.99])
def test_held_out_queries_find_what_was_promised(tmp_path: Path, target: float) -> None:
    options = BuildOptions(index_key="IVF64,SQ8", target_k=10, target_recall=target)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        tuning = tuning_of(index)
        assert (tuning.k, tuning.target, tuning.queries, tuning.proxy, tuning.met) == (10, target, 150, False, True)
        right = index.search(HELD_OUT, 10, AnnOptions(exact=True))
        assert recall(index.search(HELD_OUT, 10), right) >= target - 0.02


def test_the_measured_recall_is_that_of_a_search_with_the_same_effort(tmp_path: Path) -> None:
    options = BuildOptions(index_key="IVF64,PQ8x4fs", target_k=10)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        right = index.search(QUERIES, 10, AnnOptions(exact=True))
        for point in tuning_of(index).points:
            found = index.search(QUERIES, 10, AnnOptions(nprobe=point.visits, refine=point.refine))
            # A search that comes back short, from too few lists, is made again exactly.
            assert recall(found, right) >= point.recall - 1e-9
            assert point.visits < 4 or recall(found, right) == pytest.approx(point.recall, abs=1e-9)
            assert point.low <= point.recall <= point.high


def test_points_are_a_front_and_the_cheapest_that_is_enough_is_chosen(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS, replace(OPTIONS, index_key="IVF64,SQ8"), QUERIES) as index:
        tuning = tuning_of(index)
    costs, recalls = [p.p50_ms for p in tuning.points], [p.recall for p in tuning.points]
    assert costs == sorted(costs)
    assert recalls == sorted(set(recalls))
    enough = [point for point in tuning.points if point.low >= 0.95]
    assert tuning.chosen == enough[0]


def test_a_target_out_of_reach_is_said_to_be(tmp_path: Path) -> None:
    options = BuildOptions(index_key="IVF64,PQ4x4fs", target_k=10, target_recall=0.999)
    with build_vectors(tmp_path / "x", CORPUS, options, QUERIES) as index:
        tuning = tuning_of(index)
        assert not tuning.met
        assert tuning.chosen.recall == max(point.recall for point in tuning.points) < 0.999


def test_without_queries_perturbed_documents_stand_in_and_are_flagged(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS, OPTIONS) as index:
        assert (tuning_of(index).proxy, tuning_of(index).queries) == (True, 500)


def test_stand_ins_are_no_documents() -> None:
    turned = perturbed(CORPUS, 100)
    rows = np.unique(np.linspace(0, len(CORPUS) - 1, 100, dtype=np.int64))
    assert np.allclose((turned * CORPUS[rows]).sum(axis=1), 0.8, atol=1e-6)
    assert np.allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-6)


def test_queries_are_kept_for_later_segments(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS, OPTIONS, QUERIES) as index:
        with index.writer() as writer:
            put_rows(writer, clustered(1, 50), start=len(CORPUS))
            writer.commit(compact=True)
        assert (tuning_of(index).queries, tuning_of(index).proxy) == (150, False)
        Index.rebuild(index.path)
        assert (tuning_of(index).queries, tuning_of(index).proxy) == (150, False)
        with index.writer() as writer:
            writer.tune_with(HELD_OUT[:20])
            writer.commit(compact=True)
        assert tuning_of(index).queries == 20


@pytest.mark.parametrize("index_key", ["Flat", "HNSW16"])
def test_no_target_no_tuning(tmp_path: Path, index_key: str) -> None:
    options = BuildOptions(index_key=index_key, target_recall=None)
    with build_vectors(tmp_path / "x", CORPUS[:500], options) as index:
        assert index.info().tuning is None


@pytest.mark.parametrize("target", [0, 1, -0.5, 1.5, float("nan")])
def test_targets_that_mean_nothing_are_refused(target: float) -> None:
    with pytest.raises(InvalidInputError, match="target_recall must be above 0 and below 1"):
        BuildOptions(target_recall=target)


def test_queries_of_another_shape_are_refused(tmp_path: Path) -> None:
    with build_vectors(tmp_path / "x", CORPUS[:50], OPTIONS) as index:
        with index.writer() as writer, pytest.raises(InvalidInputError, match=r"must have the shape \(n, 32\)"):
            writer.tune_with(np.eye(4, dtype=np.float32))
        assert change(index, {}).documents == 50
