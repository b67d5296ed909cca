"""What a teacher is fed, and its losses by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.pair_files import JudgedPair
from twinbert.encoders.training.teacher_data import JudgedSet, QueryBatches, QueryRows, judged_set
from twinbert.encoders.training.teacher_losses import guide_loss, label_loss
from twinbert.encoders.training.teacher_recipe import TeacherRecipe
from twinbert.errors import InvalidInputError

PAIRS = [
    JudgedPair(query, " ".join([word] * (place + 1)), float(place == 1))
    for query in ("open", "close", "read")
    for place, word in enumerate(("file", "stream", "socket", "a", "the"))
]


@pytest.fixture(scope="module")
def encoder(tiny_teacher: Path) -> CrossEncoder:
    return CrossEncoder.load(tiny_teacher)


@pytest.fixture(scope="module")
def data(encoder: CrossEncoder) -> JudgedSet:
    shuffled = [PAIRS[place] for place in np.random.default_rng(0).permutation(len(PAIRS))]
    return judged_set(shuffled, encoder, None)


def test_label_loss_by_hand() -> None:
    logits, queries = torch.tensor([2.0, 0.0, 1.0, -1.0]), torch.tensor([0, 0, 1, 1])
    each = (math.log1p(math.exp(-2)) + math.log(2) + math.log1p(math.e) + math.log1p(math.exp(-1))) / 4
    of_first = math.log1p(math.exp(-2))  # the second query has no match, so nothing to compare
    labels = torch.tensor([1.0, 0.0, 0.0, 0.0])
    assert label_loss(logits, labels, queries, 0.0).item() == pytest.approx(each, abs=1e-6)
    assert label_loss(logits, labels, queries, 1.0).item() == pytest.approx(of_first, abs=1e-6)
    assert label_loss(logits, labels, queries, 0.25).item() == pytest.approx(0.75 * each + 0.25 * of_first, abs=1e-6)
    assert label_loss(logits, torch.zeros(4), queries, 1.0).item() == 0.0


def test_guide_loss_is_least_where_the_logits_are_the_guide_s() -> None:
    recipe = TeacherRecipe(sharpness=10.0, centre=0.5)
    cosines, queries = torch.tensor([0.9, 0.5, 0.1]), torch.tensor([0, 0, 1])
    targets = torch.tensor([4.0, 0.0, -4.0])
    entropy = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in torch.sigmoid(targets.double()).tolist()) / 3
    assert guide_loss(targets, cosines, queries, recipe).item() == pytest.approx(0.5 * entropy, abs=1e-6)
    swapped = targets[[1, 0, 2]]
    first = 1 / (1 + math.exp(-4))
    divergence = (first - (1 - first)) * 4  # of the distribution from its mirror image, over the first query alone
    each = torch.nn.functional.binary_cross_entropy_with_logits(swapped, torch.sigmoid(targets)).item()
    expected = 0.5 * each + 2 * divergence / 2
    assert guide_loss(swapped, cosines, queries, recipe).item() == pytest.approx(expected, abs=1e-5)


def test_a_query_s_matches_stay_and_its_negatives_are_drawn_anew_each_epoch(data: JudgedSet) -> None:
    rows = QueryRows(data.rows_by_query(), data.labels, TeacherRecipe(negatives_per_query=2))
    drawn = []
    for epoch in range(20):
        rows.epoch = epoch
        for query in range(len(rows)):
            assert len(rows[query]) == 3
            assert data.labels[rows[query]].sum() == 1
            assert set(data.queries[rows[query]]) == {query}
        drawn.append(tuple(rows[0].tolist()))
    assert len(set(drawn)) == 6  # every two of four
    rows.epoch = 7
    assert tuple(rows[0].tolist()) == drawn[7]
    everything = QueryRows(data.rows_by_query(), data.labels, TeacherRecipe(negatives_per_query=4))
    assert sorted(np.concatenate([everything[query] for query in range(3)]).tolist()) == list(range(15))


def test_a_batch_cut_into_parts_keeps_each_pair_beside_its_label(data: JudgedSet, encoder: CrossEncoder) -> None:
    batch = QueryBatches(data, encoder, budget=40)(data.rows_by_query())
    assert len(batch["parts"]) > 2
    assert all(part["input_ids"].numel() <= 40 for part in batch["parts"])
    seen = [
        tuple(ids[mask.bool()].tolist())
        for part in batch["parts"]
        for ids, mask in zip(part["input_ids"], part["attention_mask"], strict=True)
    ]
    known = {
        tuple(pair["input_ids"]): (label, query)
        for pair, label, query in zip(data.encoded, data.labels.tolist(), data.queries.tolist(), strict=True)
    }
    assert len(seen) == len(known) == 15
    beside = list(zip(batch["labels"].tolist(), batch["queries"].tolist(), strict=True))
    assert [known[ids] for ids in seen] == beside


def test_pairs_of_one_label_are_refused(encoder: CrossEncoder) -> None:
    for pairs in ([], [JudgedPair("a", "b", 1.0)] * 3):
        with pytest.raises(InvalidInputError, match="these have one label"):
            judged_set(pairs, encoder, None)
