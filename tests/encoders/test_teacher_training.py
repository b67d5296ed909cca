"""Fine-tuning a teacher on a task that can be learnt, stopped and gone on with, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.pair_files import JudgedPair
from twinbert.encoders.training.teacher import BiEncoderTeacher
from twinbert.encoders.training.teacher_recipe import TeacherRecipe, read_teacher_recipe, write_teacher_recipe
from twinbert.encoders.training.teacher_training import TeacherFiles, TeacherReport, train_teacher
from twinbert.errors import InvalidInputError, ModelError

RECIPE = TeacherRecipe(
    epochs=3,
    guided_epochs=1,
    queries_per_batch=4,
    negatives_per_query=2,
    learning_rate=2e-3,
    head_learning_rate=2e-3,
    longest=16,
    held_out=0.25,
)


@pytest.fixture(scope="module")
def judged() -> list[JudgedPair]:
    """Four documents to each of 16 queries; the one that names a socket matches."""
    rng = np.random.default_rng(0)
    words = ["open", "close", "read", "write", "file", "stream", "a", "the"]
    found = []
    for _ in range(16):
        query = "how do i " + " ".join(rng.choice(words, 3))
        texts = [" ".join(rng.choice(words, 4)) for _ in range(4)]
        found += [
            JudgedPair(query, text + " socket" * (place == 2), float(place == 2)) for place, text in enumerate(texts)
        ]
    return found


def files(folder: Path, checkpoint: Path, name: str = "teacher") -> TeacherFiles:
    return TeacherFiles(
        checkpoint=str(checkpoint),
        target=folder / name,
        work=folder / f"{name}.work",
        guide=checkpoint,
        local_files_only=True,
    )


def weights(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


class StoppedError(Exception):
    """Ends a run from within."""


def stop_at(step: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        assert 0 < done <= total
        if done == step:
            raise StoppedError

    return progress


def test_it_learns_what_can_be_learnt_and_saves_it_as_transformers_reads_it(
    judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, epochs=12, guided_epochs=0, patience=12)
    report = train_teacher(judged, recipe, files(tmp_path, bare_checkpoint))
    assert isinstance(report, TeacherReport)
    assert (report.pairs, report.queries, report.held_out_queries) == (64, 16, 4)
    assert report.measures is not None
    assert report.measures.roc_auc_per_query == 1.0
    assert read_teacher_recipe(tmp_path / "teacher" / "recipe.toml") == recipe
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "teacher").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "teacher")
    assert tokenizer.model_max_length == 16
    with torch.inference_mode():
        logits = model(**tokenizer(["read"], ["a socket"], return_tensors="pt")).logits
    score = CrossEncoder.load(tmp_path / "teacher").score(["read"], ["a socket"])
    assert score[0] == pytest.approx(torch.sigmoid(logits.double()).item(), abs=1e-6)


@pytest.mark.parametrize("step", [2, 4, 8])
def test_stopped_and_gone_on_with_it_ends_with_the_same_weights(
    step: int, judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, dropout=0.1)  # random numbers of every kind are in the run
    whole = train_teacher(judged, recipe, files(tmp_path, bare_checkpoint, "whole"))
    assert whole.steps == 9
    with pytest.raises(StoppedError):
        train_teacher(judged, recipe, files(tmp_path, bare_checkpoint), progress=stop_at(step))
    assert not (tmp_path / "teacher").exists()
    assert train_teacher(judged, recipe, files(tmp_path, bare_checkpoint), resume=True) == whole
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "teacher")
    assert all((expected[name] == found[name]).all() for name in expected)


def test_accumulated_batches_are_one_large_batch(
    judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    large = replace(RECIPE, epochs=1, guided_epochs=0, held_out=0.0)
    small = replace(large, queries_per_batch=2, accumulate=2)
    train_teacher(judged, large, files(tmp_path, bare_checkpoint, "large"))
    train_teacher(judged, small, files(tmp_path, bare_checkpoint, "small"))
    expected, found = weights(tmp_path / "large"), weights(tmp_path / "small")
    start = weights(bare_checkpoint)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-3)
    moved = max(np.abs(expected[f"bert.{name}"] - start[name]).max() for name in start if f"bert.{name}" in expected)
    assert moved > 5e-3


def test_guided_epochs_follow_the_guide_and_not_the_labels(
    judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    guide = BiEncoderTeacher(bare_checkpoint)
    queries, documents = [pair.query for pair in judged], [pair.document for pair in judged]
    cosines = (guide.embed(queries).astype(np.float32) * guide.embed(documents).astype(np.float32)).sum(1)
    assert cosines.min() > 0.7  # to this guide everything matches, while of the labels a quarter are 1
    means = {}
    for guided in (12, 0):
        recipe = replace(RECIPE, epochs=12, guided_epochs=guided, held_out=0.0)
        train_teacher(judged, recipe, files(tmp_path, bare_checkpoint, f"guided{guided}"))
        means[guided] = CrossEncoder.load(tmp_path / f"guided{guided}").score(queries, documents).mean()
    assert means[12] > 0.8
    assert means[0] < 0.5


def test_the_token_table_stays_where_it_is_frozen(
    judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    table = "embeddings.word_embeddings.weight"
    for name, frozen in (("frozen", True), ("free", False)):
        recipe = replace(RECIPE, epochs=1, held_out=0.0, freeze_table=frozen)
        train_teacher(judged, recipe, files(tmp_path, bare_checkpoint, name))
        same = weights(tmp_path / name)[f"bert.{table}"] == weights(bare_checkpoint)[table]
        assert bool(same.all()) is frozen


def test_going_on_with_another_run_is_refused(judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path) -> None:
    chosen = files(tmp_path, bare_checkpoint)
    with pytest.raises(StoppedError):
        train_teacher(judged, RECIPE, chosen, progress=stop_at(4))
    with pytest.raises(InvalidInputError, match="a run was stopped here"):
        train_teacher(judged, RECIPE, chosen)
    with pytest.raises(InvalidInputError, match="had another value of epochs, seed"):
        train_teacher(judged, replace(RECIPE, epochs=4, seed=1), chosen, resume=True)
    with pytest.raises(InvalidInputError, match="had another value of pairs"):
        train_teacher(judged[1:], RECIPE, chosen, resume=True)


def test_what_cannot_be_learnt_from_or_saved_is_refused(
    judged: list[JudgedPair], bare_checkpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "mine").touch()
    with pytest.raises(ModelError, match="is there already"):
        train_teacher(judged, RECIPE, files(tmp_path, bare_checkpoint))
    one_label = [replace(pair, label=0.0) for pair in judged]
    with pytest.raises(InvalidInputError, match="these have one label"):
        train_teacher(one_label, RECIPE, files(tmp_path, bare_checkpoint, "one"))
    apart = [replace(pair, query=f"{pair.query} {place}") for place, pair in enumerate(judged)]
    with pytest.raises(InvalidInputError, match="no query has the labels"):
        train_teacher(apart, replace(RECIPE, held_out=0.5), files(tmp_path, bare_checkpoint, "apart"))


def test_a_recipe_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    recipe = TeacherRecipe(learning_rate=3e-5, precision="bf16", freeze_table=False, seed=7)
    write_teacher_recipe(recipe, tmp_path / "recipe.toml")
    assert read_teacher_recipe(tmp_path / "recipe.toml") == recipe
    assert read_teacher_recipe(tmp_path / "recipe.toml", {"seed": 8}) == replace(recipe, seed=8)
    assert read_teacher_recipe(None) == TeacherRecipe()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "'epoch' is no field of a teacher's recipe"),
        ("epochs = 0", "epochs must be above 0"),
        ("listwise = 1.5", "listwise must be between 0 and 1"),
        ("guided_epochs = 4", "guided_epochs must be between 0 and epochs"),
        ('precision = "fp16"', "not a teacher's recipe"),
        ("epochs = many", "not a teacher's recipe"),
    ],
)
def test_a_bad_recipe_is_named(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_teacher_recipe(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
