"""Tuning a model on one's own labels: what it learns, what it leaves, and when it says no."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tower_shapes import TRIGRAMS
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import CrossingConfig, TwinConfig
from twinbert.encoders.training.saving import load, save
from twinbert.encoders.training.student import Student
from twinbert.encoders.training.tune import TuneData, TuneOptions, student_to_tune, tune
from twinbert.encoders.training.tune_data import Domain, LabelledPair
from twinbert.encoders.training.tune_preparing import prepare
from twinbert.encoders.training.tune_training import Trainer
from twinbert.errors import InvalidInputError, ModelError

ACTS = ("open", "close", "read", "write", "flush", "move")
THINGS = ("file", "socket", "stream", "tree", "pipe", "lock", "table", "queue")
VERBS = dict(zip(ACTS, ("unseal", "shut", "scan", "store", "drain", "carry"), strict=True))
QUICK = TuneOptions(
    epochs=12,
    patience=12,
    questions=8,
    negatives=3,
    learning_rate=3e-3,
    frozen=0,
    anchor=0.1,
    held_out=0.4,
    precision="fp32",
)


def domain(name: str = "acts", *, noise: bool = False) -> Domain:
    """Each question asks for a thing by an act; the answer uses another word for the act. Noise draws the answers."""
    queries = [f"{act} the {thing}" for act in ACTS for thing in THINGS]
    documents = [f"{VERBS[act]} a {thing}" for act in ACTS for thing in THINGS]
    draw = np.random.default_rng(0)
    pairs: list[LabelledPair] = []
    for query in range(len(queries)):
        same_thing = list(range(query % len(THINGS), len(documents), len(THINGS)))
        relevant = int(draw.choice(same_thing)) if noise else query
        others = [row for row in same_thing if row != relevant][:4]
        pairs += [LabelledPair(query, relevant, 1.0), *(LabelledPair(query, row, 0.0) for row in others)]
    return Domain(name, queries, documents, pairs)


def model(folder: Path, *, head: bool = True) -> ModelFolder:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    crossing = CrossingConfig() if head else None
    student = Student(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12, crossing=crossing)).eval()
    for weight in student.towers.query.layers.parameters():  # weights of a size that makes a layer matter
        weight.data.mul_(6.0)
    save(student, ModelFolder(folder), None)
    return ModelFolder(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return model(tmp_path_factory.mktemp("tune") / "base")


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return model(tmp_path_factory.mktemp("tune") / "headless", head=False)


def answered(folder: Path) -> float:
    """Share of the questions whose answer is the nearest of their own labelled documents."""
    encoder, asked = TwinEncoder.from_pretrained(folder, precision="fp32"), domain()
    scores = encoder.encode_queries(asked.queries) @ encoder.encode_documents(asked.documents).T
    right = 0
    for query in range(len(asked.queries)):
        own = [pair.document for pair in asked.pairs if pair.query == query]
        right += own[int(np.argmax(scores[query, own]))] == query
    return right / len(asked.queries)


def test_it_learns_the_labels_and_reports_it(tmp_path: Path, base: ModelFolder) -> None:
    told: list[str] = []
    out = tmp_path / "tuned"
    report = tune(base.root, TuneData([domain()]), out, QUICK, lambda name, *_: told.append(name))
    assert report.changed
    assert report.chosen.real
    assert answered(out) > answered(base.root) + 0.2
    assert (report.questions, report.held_out, report.measure) == (29, 19, "AUC by question")
    assert list(report.domain) == ["AUC by question", "nDCG@10"]
    assert report.reported == {}
    assert report.blend in QUICK.blends
    assert report.drift is not None
    assert report.drift.texts == 128
    assert report.drift.cosine < 1.0
    assert list(report.seconds) == ["preparing", "training", "choosing", "reporting", "export"]
    assert json.loads((out / "tune.json").read_text()) == json.loads(json.dumps(report.facts()))
    assert list(dict.fromkeys(told)) == ["preparing", "training", "blending", "export"]
    assert not report.same_space
    assert report.space == TwinEncoder.from_pretrained(out).space != TwinEncoder.from_pretrained(base.root).space
    assert "tuned on 29 questions" in (out / "README.md").read_text()


def test_the_frozen_part_stays_and_the_weights_are_the_reported_blend(tmp_path: Path, base: ModelFolder) -> None:
    options = replace(QUICK, frozen=1, blends=(0.9,), epochs=20, patience=20)
    report = tune(base.root, TuneData([domain()]), tmp_path / "tuned", options)
    assert report.changed
    old, new = load(base).state_dict(), load(ModelFolder(tmp_path / "tuned")).state_dict()
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert not {name for name in changed if ".tokens." in name or ".positions." in name or ".layers.0." in name}
    assert {name for name in changed if ".layers.1." in name}
    assert {name for name in changed if name.startswith("head.")}


def test_the_same_seed_gives_the_same_model(tmp_path: Path, headless: ModelFolder) -> None:
    options = replace(QUICK, epochs=2, minutes=60.0)
    first, second = (tune(headless.root, TuneData([domain()]), tmp_path / name, options) for name in "ab")
    assert replace(first, seconds={}) == replace(second, seconds={})


def test_a_query_tower_alone_leaves_documents_and_their_space(tmp_path: Path, base: ModelFolder) -> None:
    options = replace(QUICK, query_tower_only=True)
    report = tune(base.root, TuneData([domain()]), tmp_path / "tuned", options)
    assert report.changed
    assert report.same_space
    old, new = TwinEncoder.from_pretrained(base.root), TwinEncoder.from_pretrained(tmp_path / "tuned")
    assert old.space == new.space
    assert new.config.towers == "separate"
    texts = domain().documents
    np.testing.assert_array_equal(old.encode_documents(texts), new.encode_documents(texts))
    assert np.abs(old.encode_queries(texts) - new.encode_queries(texts)).max() > 0.01
    assert answered(tmp_path / "tuned") > answered(base.root)


def test_a_gain_that_is_not_real_changes_nothing(tmp_path: Path, base: ModelFolder) -> None:
    out = tmp_path / "tuned"
    report = tune(base.root, TuneData([domain(noise=True)]), out, replace(QUICK, epochs=2, held_out=0.5))
    assert not report.changed
    assert (report.blend, report.same_space) == (0.0, True)
    assert all(gain.before == gain.after for gain in report.domain.values())
    assert report.drift is not None
    assert report.drift.cosine == pytest.approx(1.0)
    for name in ("config.json", "model.safetensors", "onnx/tower.onnx", "onnx/tower_int8.onnx", "head.safetensors"):
        assert (out / name).read_bytes() == (base.root / name).read_bytes()


def test_a_strong_anchor_keeps_more_of_the_old_vectors(tmp_path: Path, headless: ModelFolder) -> None:
    drifts = []
    for number, anchor in enumerate((0.0, 50.0)):
        options = replace(QUICK, anchor=anchor, blends=(1.0,), epochs=6, patience=6)
        report = tune(headless.root, TuneData([domain()]), tmp_path / str(number), options)
        drifts.append(report.drift)
    assert drifts[1].cosine > drifts[0].cosine + 0.05
    assert drifts[1].neighbours > drifts[0].neighbours


def test_a_teacher_s_scores_are_learned_from_where_nobody_judged(tmp_path: Path, headless: ModelFolder) -> None:
    judged = domain()
    scored = [LabelledPair(pair.query, pair.document, score=0.9 if pair.label else 0.1) for pair in judged.pairs]
    data = TuneData([replace(judged, pairs=scored)])
    assert tune(headless.root, data, tmp_path / "tuned", QUICK).changed
    assert answered(tmp_path / "tuned") > answered(headless.root) + 0.2


def test_questions_without_judged_negatives_are_told_apart_by_ndcg(tmp_path: Path, headless: ModelFolder) -> None:
    judged = domain()
    data = TuneData([replace(judged, pairs=[pair for pair in judged.pairs if pair.label])])
    report = tune(headless.root, data, tmp_path / "tuned", replace(QUICK, epochs=1))
    assert report.measure == "nDCG@10"
    assert list(report.domain) == ["nDCG@10"]


def test_several_domains_are_mixed_and_dev_is_only_reported(tmp_path: Path, headless: ModelFolder) -> None:
    whole = domain()
    first = replace(
        whole,
        pairs=[pair for pair in whole.pairs if pair.query < 30],
        reported=[pair for pair in whole.pairs if pair.query >= 30],
    )
    report = tune(headless.root, TuneData([first, domain("more")]), tmp_path / "tuned", replace(QUICK, epochs=1))
    assert (report.questions, report.held_out) == (30 + 48 - 31, 12 + 19)
    assert [gain.questions for gain in report.reported.values()] == [18, 18]


class Strokes:
    """A clock that goes on by a second whenever somebody looks."""

    def __init__(self) -> None:
        self.seen = 0

    @property
    def spent(self) -> float:
        self.seen += 1
        return float(self.seen)


def test_the_clock_ends_a_run_within_an_epoch(headless: ModelFolder) -> None:
    student = student_to_tune(headless, QUICK)
    prepared = prepare(student, headless, TuneData([domain()]), QUICK, None)
    told: list[int] = []
    trainer = Trainer(student, prepared.lesson, QUICK, Strokes(), until=8.0)  # type: ignore[arg-type]
    course = trainer.run(prepared.before.chosen, lambda _, done, __: told.append(done))
    assert len(prepared.lesson.batches) == 4
    assert 1 <= max(told) < 4
    assert [epoch["epoch"] for epoch in course.epochs] == [1]


def test_minutes_that_leave_none_to_train_in_are_refused(tmp_path: Path, headless: ModelFolder) -> None:
    with pytest.raises(InvalidInputError, match=r"1e-06 minutes are too few: .* give more --minutes"):
        tune(headless.root, TuneData([domain()]), tmp_path / "tuned", replace(QUICK, minutes=1e-6))
    assert not (tmp_path / "tuned").exists()


def test_what_cannot_be_tuned_is_refused_and_leaves_nothing(tmp_path: Path, headless: ModelFolder) -> None:
    out = tmp_path / "tuned"
    with pytest.raises(ModelError, match="needs the fp32 weights: import a sentence-transformers model"):
        tune(tmp_path, TuneData([domain()]), out, QUICK)
    with pytest.raises(ModelError, match="has 2 layers, not 3 to freeze"):
        tune(headless.root, TuneData([domain()]), out, replace(QUICK, frozen=3))
    with pytest.raises(InvalidInputError, match="acts has 9 questions with a relevant document, tuning needs 10"):
        replace(domain(), pairs=[pair for pair in domain().pairs if pair.query < 9])
    assert not out.exists()
    out.mkdir()
    (out / "something").touch()
    with pytest.raises(ModelError, match="is not empty: name a new folder"):
        tune(headless.root, TuneData([domain()]), out, QUICK)


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, headless: ModelFolder) -> None:
    def stop(name: str, done: int, total: int) -> None:
        if name == "export" and done == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(headless.root, TuneData([domain()]), tmp_path / "tuned", replace(QUICK, epochs=1), stop)
    assert list(tmp_path.iterdir()) == []
