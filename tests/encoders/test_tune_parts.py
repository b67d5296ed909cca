"""The parts of tuning, each beside an independent oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.encoders.training.tune_batches import Batches
from twinbert.encoders.training.tune_blending import Blend, mixed_weights, smallest_that_keeps
from twinbert.encoders.training.tune_data import Domain, LabelledPair, Question, Texts, held_apart, joined
from twinbert.encoders.training.tune_loss import listwise_loss
from twinbert.encoders.training.tune_measures import drift_of, gain_of, ndcg
from twinbert.encoders.training.tune_options import TuneOptions, read_options
from twinbert.encoders.training.tune_pool import hard_negatives, needy
from twinbert.errors import InvalidInputError


def unit(seed: int, count: int, dimension: int = 6) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def question(query: int, documents: list[int], labels: list[float], domain: int = 0) -> Question:
    known = np.array(labels, dtype=np.float32)
    return Question(query, np.array(documents), known, np.full(len(labels), np.nan, dtype=np.float32), domain)


def collection(name: str, questions: int, documents: int) -> Domain:
    pairs = [LabelledPair(query, (3 * query) % documents, 1.0) for query in range(questions)]
    pairs += [LabelledPair(query, (3 * query + 1) % documents, 0.0) for query in range(questions)]
    return Domain(
        name,
        [f"{name} asks {query}" for query in range(questions)],
        [f"{name} says {row}" for row in range(documents)],
        pairs,
    )


@given(seed=st.integers(0, 1_000), pool=st.integers(1, 80))
@settings(max_examples=30, deadline=None)
def test_joined_domains_keep_each_label_on_its_texts(seed: int, pool: int) -> None:
    domains = [collection("a", 12, 20), collection("b", 11, 40)]
    texts, learned, reported = joined(domains, pool, seed)
    assert reported == []
    assert len(learned) == 23
    for one in learned:
        name, number = texts.queries[one.query].split(" asks ")
        domain = domains["ab".index(name)]
        expected = {domain.documents[pair.document]: pair.label for pair in domain.pairs if pair.query == int(number)}
        found = [texts.documents[row] for row in one.documents]
        assert dict(zip(found, one.labels.tolist(), strict=True)) == expected
        assert set(texts.domains[one.documents]) == {"ab".index(name)} == {one.domain}
    assert min(pool, 60) <= len(texts.pool) <= pool + 1
    assert len(np.unique(texts.pool)) == len(texts.pool)
    assert sorted(texts.documents) == sorted(set(texts.documents))


def test_whole_questions_of_each_domain_are_held_apart() -> None:
    questions = [question(place, [0], [1.0], place % 2) for place in range(40)]
    kept, apart = held_apart(questions, 0.1, seed=3)
    assert sorted(one.query for one in kept + apart) == list(range(40))
    assert sorted(one.domain for one in apart) == [0] * 8 + [1] * 8
    assert len(held_apart(questions, 0.45, seed=3)[1]) == 18
    assert len(held_apart(questions[:20], 0.1, seed=3)[1]) == 10
    again = held_apart(questions, 0.1, seed=3)[1]
    assert [one.query for one in again] == [one.query for one in apart]


@given(seed=st.integers(0, 1_000), depth=st.integers(1, 30))
@settings(max_examples=30, deadline=None)
def test_hard_negatives_are_the_nearest_unknown_of_their_own_domain(seed: int, depth: int) -> None:
    rows, domains = np.array([0, 2, 3, 5, 6, 7, 9, 11, 12]), np.repeat([0, 1], [7, 8])
    texts = Texts([], [""] * 15, rows, domains)
    questions = [question(0, [2, 4, 5], [1.0, 0.0, 0.0], 0), question(1, [7], [1.0], 1)]
    queries, pool = unit(seed, 2), unit(seed + 1, len(rows))
    found = hard_negatives(questions, queries, texts, pool, depth)
    for one, query, got in zip(questions, queries, found, strict=True):
        allowed = [place for place, row in enumerate(rows) if domains[row] == one.domain and row not in one.documents]
        expected = sorted(allowed, key=lambda place: -float(pool[place] @ query))[:depth]
        assert got.tolist() == rows[expected].tolist()


def test_questions_with_few_known_negatives_need_mined_ones() -> None:
    questions = [question(0, [1, 2, 3], [1.0, 0.0, 0.0]), question(1, [1, 2], [1.0, 1.0])]
    assert needy(questions, 2) == [1]
    assert needy(questions, 3) == [0, 1]


def test_a_batch_takes_one_relevant_document_and_judged_negatives_before_mined_ones() -> None:
    questions = [
        question(0, [10, 11, 12], [1.0, 0.0, 0.0]),
        question(1, [10, 20, 21, 22], [1.0, 1.0, 0.0, 0.0]),
    ]
    mined = [np.array([30, 31, 32]), np.array([40])]
    batches = Batches(questions, mined, TuneOptions(questions=2, negatives=3))
    assert len(batches) == 1
    (batch,) = batches.epoch(np.random.default_rng(0))
    pairs = list(zip(batch.queries[batch.rows].tolist(), batch.documents[batch.columns].tolist(), strict=True))
    first = {document for query, document in pairs if query == 0}
    assert {10, 11, 12} < first
    assert len(first & {30, 31, 32}) == 1
    second = [document for query, document in pairs if query == 1]
    assert set(second) in ({10, 21, 22, 40}, {20, 21, 22, 40})
    assert batch.relevant.sum() == 2
    unknown = [pair[1] for pair, label in zip(pairs, batch.labels, strict=True) if np.isnan(label)]
    assert set(unknown) == {40, *(first & {30, 31, 32})}
    known = {(query, document) for query, document in zip(*np.nonzero(batch.known), strict=True)}
    expected = {(0, 10), (1, 10), (1, 20)}
    assert {(int(batch.queries[q]), int(batch.documents[d])) for q, d in known} == {
        pair for pair in expected if pair[1] in batch.documents
    }


def test_listwise_loss_leaves_a_query_s_other_relevant_documents_out() -> None:
    questions = [question(0, [1, 2], [1.0, 0.0]), question(1, [1, 3], [1.0, 1.0])]
    batches = Batches(questions, [np.array([], dtype=np.int64)] * 2, TuneOptions(questions=2, negatives=1))
    batch = next(batches.epoch(np.random.default_rng(1)))
    logits = torch.randn(2, len(batch.documents), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    losses = []
    for row, column, relevant in zip(batch.rows, batch.columns, batch.relevant, strict=True):
        if relevant:
            rivals = [place for place in range(len(batch.documents)) if place == column or not batch.known[row, place]]
            losses.append(float(torch.logsumexp(logits[row, rivals], 0) - logits[row, column]))
    assert float(listwise_loss(logits, batch)) == pytest.approx(np.mean(losses))


def test_ndcg_is_the_hand_s() -> None:
    hits, relevant = np.array([False, True, True, False]), np.array([True, True, True, False])
    ideal = 1 + 1 / np.log2(3) + 0.5
    assert ndcg(hits, relevant) == pytest.approx((1 / np.log2(3) + 0.5) / ideal)
    assert ndcg(np.ones(10, dtype=bool), np.ones(30, dtype=bool)) == 1.0


def test_a_gain_is_real_when_random_signs_would_hardly_give_it() -> None:
    before = np.array([0.1, 0.5, 0.9, 0.3, 0.2, 0.6])
    steady = gain_of(before, before + 0.05)
    assert (steady.error, steady.questions, steady.real) == (pytest.approx(0.0, abs=1e-12), 6, True)
    assert steady.chance == pytest.approx(1 / 2**6, abs=0.01)
    change = np.array([0.4, -0.3, 0.2, -0.1, 0.1, 0.0])
    noisy = gain_of(before, before + change)
    flips = [np.dot(signs, change) for signs in itertools.product((-1, 1), repeat=6)]
    assert noisy.chance == pytest.approx(np.mean(np.array(flips) >= change.sum() - 1e-9), abs=0.03)
    assert noisy.error == pytest.approx(np.std(change, ddof=1) / np.sqrt(6))
    assert not noisy.real
    assert not gain_of(before, before).real
    assert not gain_of(before, before - 0.05).real
    one = gain_of(before[:1], before[:1] + 1)
    assert (one.error, one.real) == (None, False)


def test_drift_counts_the_neighbours_that_stay() -> None:
    vectors = unit(0, 30)
    same = drift_of(vectors, vectors)
    assert (same.texts, same.cosine, same.neighbours) == (30, pytest.approx(1.0), 1.0)
    mirrored = drift_of(vectors, -vectors)
    assert (mirrored.cosine, mirrored.neighbours) == (pytest.approx(-1.0), 1.0)
    other = unit(1, 30)
    nearest = [
        [set(np.argsort(-np.delete(rows @ rows[place], place))[:10].tolist()) for place in range(30)]
        for rows in (vectors, other)
    ]
    expected = np.mean([len(one & two) / 10 for one, two in zip(*nearest, strict=True)])
    assert drift_of(vectors, other).neighbours == pytest.approx(expected)


def test_weights_are_mixed_and_the_smallest_blend_that_keeps_the_gain_is_taken() -> None:
    one, two = {"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([1.0, 0.0])}
    assert mixed_weights(one, two, 0.25)["w"].tolist() == [0.25, 3.0]
    blends = [Blend(share, np.array([value])) for share, value in ((0.25, 0.71), (0.5, 0.79), (1.0, 0.8))]
    assert smallest_that_keeps(blends, 0.7, 0.9).share == 0.5
    assert smallest_that_keeps(blends, 0.7, 1.0).share == 1.0
    assert smallest_that_keeps(blends, 0.7, 0.05).share == 0.25


@pytest.mark.parametrize(
    ("settings_given", "message"),
    [
        ({"epoch": 3}, "no setting 'epoch' of tuning; there are "),
        ({"epochs": "many"}, "not a setting of tuning"),
        ({"epochs": 0}, "epochs is out of range: give it at least 1"),
        ({"held_out": 0.9}, "held_out is out of range"),
        ({"blends": ()}, "blends is out of range"),
        ({"blends": (0.5, 2)}, "blends is out of range"),
        ({"minutes": 0}, "minutes is out of range: give it above 0"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings_given: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        read_options(settings_given)


def test_settings_are_read() -> None:
    assert read_options({"epochs": "2", "blends": [0.5]}) == TuneOptions(epochs=2, blends=(0.5,))
