"""Where a student's first weights come from, through the recipe and the command line."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import checkpoint
from tower_shapes import TRIGRAMS
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import CrossingConfig, TowerConfig, TwinConfig
from twinbert.encoders.training.recipe import Recipe, Start, parse_change, read_recipe
from twinbert.encoders.training.saving import load, save
from twinbert.encoders.training.start import FirstWeights, student_of
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError

LENGTHS = {"query_tokens": 8, "document_tokens": 20}


@pytest.fixture
def bert(tmp_path: Path, vocabulary_file: Path) -> Path:
    return checkpoint(tmp_path / "bert", vocabulary_file)


def started(recipe: Recipe) -> Student:
    return student_of(recipe, FirstWeights(recipe.start, None), None)  # type: ignore[arg-type]


def test_a_checkpoint_gives_shape_vocabulary_and_layers(bert: Path) -> None:
    recipe = read_recipe(None, [{"start": {"checkpoint": str(bert), "layers": [0, 2]}, "model": LENGTHS}])
    assert recipe.model.tower == TowerConfig(
        tokenizer="wordpiece",
        vocab_size=16,
        embedding_size=32,
        hidden_size=32,
        layers=2,
        heads=4,
        ffn_size=48,
        max_tokens=20,
        embedding_norm=True,
        dimension=32,
    )
    student, first = started(recipe), FirstWeights(recipe.start, None)
    theirs = first.checkpoint.bert.encoder.layer[2].intermediate.dense.weight
    torch.testing.assert_close(student.towers.query.layers[1].up.weight, theirs)
    assert first.vocabulary == bert / "tokenizer.json"


def test_the_query_tower_may_take_other_layers(bert: Path) -> None:
    start = {"checkpoint": str(bert), "layers": [0, 1, 2], "query_layers": [2]}
    shape = read_recipe(None, [{"start": start, "model": LENGTHS}]).model
    own = dataclasses.replace(shape.tower, layers=1)
    model = dataclasses.replace(shape, shared=False, query_tower=own)
    student = started(Recipe(model=model, start=Start(checkpoint=str(bert), layers=(0, 1, 2), query_layers=(2,))))
    torch.testing.assert_close(student.towers.query.layers[0].up.weight, student.towers.document.layers[2].up.weight)


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """A model that serves the cosine alone, as an imported one does."""
    torch.manual_seed(0)
    folder = ModelFolder(tmp_path / "model")
    save(Student(TwinConfig(tower=TRIGRAMS, crossing=None, query_tokens=8, document_tokens=12)).eval(), folder, None)
    return folder


def test_training_on_gives_a_model_without_a_head_one(model: ModelFolder) -> None:
    recipe = read_recipe(None, [{"start": {"model": str(model.root)}}])
    assert recipe.model.crossing == CrossingConfig()
    student = started(recipe)
    theirs = load(model).state_dict()
    assert all(torch.equal(weight, student.state_dict()[name]) for name, weight in theirs.items())
    assert student.head is not None


def test_a_shared_model_can_go_on_as_separate_towers(model: ModelFolder) -> None:
    student = started(read_recipe(None, [{"start": {"model": str(model.root)}, "model": {"shared": False}}]))
    query, document = student.towers.query.state_dict(), student.towers.document.state_dict()
    assert student.towers.query is not student.towers.document
    assert all(torch.equal(weight, document[name]) for name, weight in query.items())


def test_a_model_of_another_shape_is_refused(model: ModelFolder) -> None:
    start = {"model": str(model.root)}
    with pytest.raises(ModelError, match="start.model has other towers than"):
        started(read_recipe(None, [{"start": start}, parse_change("model.tower.layers=3")]))
    with pytest.raises(ModelError, match="start.model has other shapes than"):
        started(read_recipe(None, [{"start": start}, parse_change("model.tower.ffn_size=64")]))


def test_one_start_at_a_time(model: ModelFolder, bert: Path) -> None:
    with pytest.raises(ModelError, match="a student has one start"):
        FirstWeights(Start(model=str(model.root), checkpoint=str(bert)), None)
    with pytest.raises(ModelError, match="needs a teacher of vectors"):
        FirstWeights(Start(fitted=True), None)


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    from twinbert.cli import main

    monkeypatch.setattr(sys, "argv", ["twinbert", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_four_words_from_a_checkpoint_to_a_served_model(
    tmp_path: Path, bert: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    rows = [{"query": f"read {n}", "document": "the file" if n % 2 else "a socket", "label": n % 2} for n in range(40)]
    pairs, out = tmp_path / "pairs.jsonl", tmp_path / "out"
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    flags = ["--checkpoint", bert, "--layers", "0,2", "--epochs", "1", "--set", "model.document_tokens=20"]
    changes = ("model.query_tokens=8", "loss.soft=0", "loss.hard=1", "schedule.held_out=4")
    more = [word for change in changes for word in ("--set", change)]
    assert command(monkeypatch, "train", "distill", pairs, out, *flags, *more) == 0
    assert capsys.readouterr().out == f"{out}\n"
    encoder = TwinEncoder.from_pretrained(out)
    assert encoder.config.tower.layers == 2
    assert np.isfinite(encoder.encode_queries(["read the file"])).all()
    capsys.readouterr()
    assert command(monkeypatch, "train", "distill", pairs, tmp_path / "no", "--set", "loss.sfot=1") == 1
    assert "no field loss.sfot" in capsys.readouterr().err


def test_a_checkpoint_of_three_layers_has_no_fourth(bert: Path) -> None:
    start = {"checkpoint": str(bert), "layers": [0, 3]}
    recipe = read_recipe(None, [{"start": start, "model": LENGTHS}])
    with pytest.raises(ModelError, match=r"name 2 of the checkpoint's 3 layers, not \[0, 3\]"):
        started(recipe)
