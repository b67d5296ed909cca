"""Fitting weights: pools measured as ir_measures would, planted weights found again, "no change" where none gains."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.encoders import TwinEncoder, Weights
from twinbert.encoders.config import read_config
from twinbert.encoders.folder import STARTER_FOLDER
from twinbert.errors import InvalidInputError
from twinbert.eval import JudgedPool, Qrels, Run, fit_weights, judge, judged_pool, mean_ndcg, parse_measures
from twinbert.eval.fitting import fit_to_collection, set_weights
from twinbert.retrieval import Document, Query, Retriever, SearchOptions

NDCG = parse_measures(["nDCG@10"])
PLAIN = Weights(lexical=0, segments=0, head=0, unfamiliar=0)


def pool_of(seed: int, planted: Weights, *, heads: bool = True) -> list[JudgedPool]:
    """Queries whose relevant documents are those that the planted weights put first."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(20):
        parts = draw.random((40, 4)) * (1, 1, 20, 1 if heads else 0)
        share = draw.random()
        lexical = planted.lexical * (1 + planted.unfamiliar * share)
        order = np.argsort(-(parts @ (planted.cosine, planted.segments, lexical, planted.head)))
        gains = np.zeros(40)
        gains[order[:5]] = 1
        found.append(JudgedPool(parts, gains, float((1 / np.log2(np.arange(2, 7))).sum()), share))
    return found


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_a_pool_is_measured_as_ir_measures_measures(seed: int) -> None:
    draw = np.random.default_rng(seed)
    parts, gains = draw.random((15, 4)), draw.integers(0, 4, 15)
    outside = draw.integers(0, 4, 5)
    weights = Weights(lexical=0.7, segments=0.2, head=0.4, unfamiliar=0)
    scores = parts @ (1, 0.2, 0.7, 0.4)
    run = Run({"q": {f"d{n}": float(score) for n, score in enumerate(scores)}})
    judged = {f"d{n}": int(gain) for n, gain in enumerate(gains)} | {f"o{n}": int(g) for n, g in enumerate(outside)}
    expected = judge(run, Qrels({"q": judged}), NDCG).means["nDCG@10"]
    best = np.sort(np.append(gains, outside))[::-1][:10]
    ideal = float((best / np.log2(np.arange(2, 12))).sum())
    assert JudgedPool(parts, gains.astype(float), ideal, 0.3).ndcg(weights) == pytest.approx(expected)


@pytest.mark.parametrize(
    "planted",
    [
        Weights(lexical=0.05, segments=0.4, head=0.25, unfamiliar=0),
        Weights(lexical=0.02, segments=0.0, head=0.0, unfamiliar=0),
        Weights(lexical=0.0, segments=0.5, head=1.0, unfamiliar=0),
    ],
)
def test_planted_weights_are_found_again(planted: Weights) -> None:
    fitted = fit_weights([pool_of(0, planted), pool_of(1, planted)], PLAIN)
    assert fitted.weights == planted
    assert fitted.after == (1.0, 1.0)
    assert fitted.gain == pytest.approx(1 - np.mean(fitted.before))


def test_how_much_words_count_in_unfamiliar_queries_is_fitted_where_asked() -> None:
    planted = Weights(lexical=0.02, segments=0, head=0, unfamiliar=3)
    assert fit_weights([pool_of(0, planted)], PLAIN, unfamiliar=(0, 1, 2, 3)).weights == planted
    assert fit_weights([pool_of(0, planted)], PLAIN).weights.unfamiliar == 0


def test_no_change_where_nothing_gains_enough() -> None:
    base = Weights(lexical=0.021, segments=0.0, head=0.0, unfamiliar=0)
    assert fit_weights([pool_of(0, base)], base).weights == base
    other = replace(base, lexical=0.03)
    pools = [pool_of(0, other)]
    assert fit_weights(pools, base).weights == other
    assert fit_weights(pools, base, least_gain=0.9).weights == base


def test_a_head_that_is_not_there_gets_no_other_weight() -> None:
    planted = Weights(lexical=0.05, segments=0, head=0, unfamiliar=0)
    assert fit_weights([pool_of(0, planted, heads=False)], replace(PLAIN, head=1.0)).weights.head == 0


@pytest.mark.parametrize("pools", [[], [[]]])
def test_nothing_to_fit_on_is_refused(pools: list[list[JudgedPool]]) -> None:
    with pytest.raises(InvalidInputError, match="no judged query to fit weights on"):
        fit_weights(pools, PLAIN)


THINGS = ["pump", "valve", "gasket", "filter", "motor", "inlet", "lid", "bolt"]
DOCUMENTS = [
    Document(f"{thing}{n}", f"part {n:03} of the {thing}: replace it and tighten it again " * (1 + n % 5))
    for thing in THINGS
    for n in range(12)
]
QUERIES = [Query(f"{thing}{n}", f"part {n:03} {thing}") for thing in THINGS for n in (3, 7)]
QRELS = Qrels({query.id: {query.id: 1} for query in QUERIES})


@pytest.fixture(scope="module")
def retriever(starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    with Retriever.build(tmp_path_factory.mktemp("weights") / "index", DOCUMENTS, starter) as built:
        yield built


@pytest.mark.parametrize("weights", [Weights(head=0), Weights(lexical=0.1, segments=0.5, head=0.5, unfamiliar=1.0)])
def test_a_pool_says_what_a_search_serves(retriever: Retriever, weights: Weights) -> None:
    pool = judged_pool(retriever, QUERIES, QRELS)
    options = SearchOptions(depth=200, candidates="both", weights=weights)
    served = judge(Run.from_rankings(retriever.search_many(QUERIES, 100, options)), QRELS, NDCG).means["nDCG@10"]
    assert mean_ndcg(pool, weights) == pytest.approx(served, abs=1e-6)


def test_a_collection_pulls_the_weights_half_of_the_way(tmp_path: Path, starter: TwinEncoder) -> None:
    shutil.copytree(STARTER_FOLDER, tmp_path / "model")
    set_weights(tmp_path / "model", PLAIN)
    encoder = TwinEncoder.from_pretrained(tmp_path / "model")
    fitted = fit_to_collection(encoder, DOCUMENTS, QUERIES, QRELS)
    with Retriever.build(tmp_path / "index", DOCUMENTS, encoder) as retriever:
        best = fit_weights([judged_pool(retriever, QUERIES, QRELS)], PLAIN).weights
    assert best.lexical > 0
    assert fitted.weights == replace(best, lexical=best.lexical / 2, segments=best.segments / 2)
    assert fitted.after > fitted.before
    nothing = Qrels({query.id: {"pump0": 0} for query in QUERIES})
    assert fit_to_collection(encoder, DOCUMENTS, QUERIES, nothing).weights == PLAIN


def test_weights_are_set_without_another_space(tmp_path: Path, retriever: Retriever) -> None:
    shutil.copytree(STARTER_FOLDER, tmp_path / "model")
    before = read_config(tmp_path / "model" / "config.json")
    weights = Weights(lexical=0.07, segments=0.1, head=0)
    set_weights(tmp_path / "model", weights)
    assert read_config(tmp_path / "model" / "config.json") == replace(before, weights=weights)
    with Retriever.open(retriever.index.path, tmp_path / "model") as opened:
        assert opened.weights == weights
