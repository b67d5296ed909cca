"""Training for real, on shapes that take seconds."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TowerConfig, TwinConfig
from twinbert.encoders.training.recipe import Loss, Recipe, parse_change, read_recipe
from twinbert.encoders.training.run import Inputs, run
from twinbert.encoders.training.saving import load
from twinbert.encoders.training.student import Student
from twinbert.errors import InvalidInputError, ModelError

THINGS = ["file", "socket", "stream", "tree", "list", "queue", "clock", "number"]
ACTS = ["open", "close", "copy", "sort", "read", "print"]

RECIPE = """
[model]
query_tokens = 8
document_tokens = 12
[model.tower]
embedding_size = 32
hidden_size = 32
layers = 1
heads = 2
ffn_size = 32
max_tokens = 12
dimension = 32
dropout = 0.0
[schedule]
epochs = EPOCHS
learning_rate = 2e-3
table_learning_rate = 1e-2
batch_tokens = 256
held_out = 20
checkpoint_steps = 30
"""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A query matches a document that speaks of the same thing."""
    draw = random.Random(0)
    path = tmp_path / "pairs.jsonl"
    with path.open("w") as file:
        for number in range(600):
            asked = draw.choice(THINGS)
            told = asked if number % 2 else draw.choice(THINGS)
            score = 0.95 if asked == told else 0.05
            row = {
                "query": f"{draw.choice(ACTS)} {asked}",
                "document": f"{told} {draw.choice(ACTS)} {number}",
                "score": score,
                "label": float(asked == told),
            }
            file.write(json.dumps(row) + "\n")
    return path


def recipe(tmp_path: Path, epochs: float, **changes: object) -> Recipe:
    path = tmp_path / f"recipe{epochs}.toml"
    path.write_text(RECIPE.replace("EPOCHS", str(epochs)))
    return read_recipe(path, [parse_change(f"{name.replace('__', '.')}={value}") for name, value in changes.items()])


def right(encoder: TwinEncoder) -> tuple[float, float]:
    """Share of things found first by the cosine, and by the residual crossing."""
    queries = encoder.encode_queries([f"open {thing}" for thing in THINGS])
    documents = encoder.encode_documents([f"{thing} copy" for thing in THINGS])
    by_cosine = (queries @ documents.T).argmax(axis=1)
    by_residual = np.stack([encoder.score(query, documents) for query in queries]).argmax(axis=1)
    return (by_cosine == np.arange(8)).mean(), (by_residual == np.arange(8)).mean()


LOSSES = {
    "soft": {},
    "hard": {"loss__soft": 0, "loss__hard": 1},
    "soft and hard, softened": {"loss__soft": 0.5, "loss__hard": 0.5, "loss__temperature": 2},
    "logits": {"loss__soft": 0, "loss__mse": 0.1},
    "margins": {"loss__soft": 0, "loss__margin": 0.1},
    "contrast": {"loss__soft": 0, "loss__contrastive": 1},
    "random negatives": {"loss__random_negatives": 2},
}


@pytest.mark.parametrize("changes", LOSSES.values(), ids=LOSSES)
def test_every_loss_teaches_both_crossings(tmp_path: Path, pairs: Path, changes: dict) -> None:
    run(Inputs(pairs, None, tmp_path / "work"), recipe(tmp_path, 12, **changes), tmp_path / "model")
    by_cosine, by_residual = right(TwinEncoder.from_pretrained(tmp_path / "model"))
    assert min(by_cosine, by_residual) >= 0.75


CROSSINGS = {
    "product": {"model__crossing__combination": "product"},
    "concat, relu": {"model__crossing__combination": "concat", "model__crossing__residual": "relu"},
    "bottleneck": {"model__crossing__residual": "bottleneck"},
    "pure": {"model__crossing__cosine": "false", "model__crossing__combination": "product"},
    "mean": {"model__tower__pooling": "mean"},
    "cls": {"model__tower__pooling": "cls", "model__tower__vocab_size": 49287},
    "tanh": {"model__tower__dimension": 16, "model__tower__tanh": "true"},
    "separate": {"model__shared": "false"},
    "quantised": {"loss__quantised": "true"},
}


@pytest.mark.parametrize("changes", CROSSINGS.values(), ids=CROSSINGS)
def test_every_shape_trains_and_serves(tmp_path: Path, pairs: Path, changes: dict) -> None:
    run(Inputs(pairs, None, tmp_path / "work"), recipe(tmp_path, 12, **changes), tmp_path / "model")
    by_cosine, by_residual = right(TwinEncoder.from_pretrained(tmp_path / "model"))
    assert max(by_cosine, by_residual) >= 0.5  # by chance: an eighth


def test_the_effective_recipe_and_the_figures_stand_in_the_model(tmp_path: Path, pairs: Path) -> None:
    wanted = recipe(tmp_path, 1, schedule__measure="query_auc", schedule__patience=3)
    run(Inputs(pairs, None, tmp_path / "work"), wanted, tmp_path / "model")
    assert read_recipe(tmp_path / "model" / "recipe.toml") == wanted
    figures = json.loads((tmp_path / "model" / "training.json").read_text())
    assert figures["pairs"] == 600
    assert figures["held_out"].keys() == {"loss", "auc", "query_auc"}
    assert (
        "Started from random weights, trained on the pairs of pairs.jsonl."
        in (tmp_path / "model/README.md").read_text()
    )


def test_a_run_that_gets_no_better_ends_early_with_its_best_weights(tmp_path: Path, pairs: Path) -> None:
    changes = {"schedule__patience": 2, "schedule__checkpoint_steps": 10, "schedule__learning_rate": 0.0}
    still = recipe(tmp_path, 40, schedule__table_learning_rate=0, schedule__crossing_learning_rate=0, **changes)
    run(Inputs(pairs, None, tmp_path / "work"), still, tmp_path / "model")
    assert json.loads((tmp_path / "model" / "training.json").read_text())["steps"] == 30


def test_an_asymmetric_model_trains_and_serves(tmp_path: Path, pairs: Path) -> None:
    shape = {"layers": 2, "embedding_size": 32, "hidden_size": 32, "heads": 2, "ffn_size": 32, "dimension": 32}
    changes = {"model__shared": "false"} | {f"model__query_tower__{name}": value for name, value in shape.items()}
    run(Inputs(pairs, None, tmp_path / "work"), recipe(tmp_path, 12, **changes), tmp_path / "model")
    encoder = TwinEncoder.from_pretrained(tmp_path / "model")
    assert encoder.config.towers == "asymmetric"
    assert min(right(encoder)) >= 0.75


def test_a_head_can_be_trained_on_frozen_towers(tmp_path: Path, pairs: Path) -> None:
    run(Inputs(pairs, None, tmp_path / "first"), recipe(tmp_path, 2), tmp_path / "towers")
    start = {"start__model": tmp_path / "towers", "model__crossing__combination": "product"}
    later = recipe(tmp_path, 2, schedule__trained="crossings", **start)
    run(Inputs(pairs, None, tmp_path / "second"), later, tmp_path / "headed")
    towers, headed = (TwinEncoder.from_pretrained(tmp_path / name) for name in ("towers", "headed"))
    assert headed.space == towers.space
    np.testing.assert_array_equal(headed.encode_documents(THINGS), towers.encode_documents(THINGS))
    assert np.abs(load(ModelFolder(tmp_path / "headed")).head.output.weight.detach().numpy()).max() > 0


@pytest.fixture
def stopped(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A run that was stopped ten steps after a checkpoint, in the folder ``cut``; and its recipe."""

    class StoppedError(Exception):
        pass

    real, steps = Student.forward, 0

    def killed(*arguments: object, **named: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 40:  # a checkpoint was written after 30 steps and an evaluation made
            raise StoppedError
        return real(*arguments, **named)  # type: ignore[arg-type]

    wanted = recipe(tmp_path, 4, loss__random_negatives=1, schedule__patience=50)
    with monkeypatch.context() as patched:
        patched.setattr(Student, "forward", killed)
        with pytest.raises(StoppedError):
            run(Inputs(pairs, None, tmp_path / "cut"), wanted, tmp_path / "resumed")
    return wanted


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path: Path, pairs: Path, stopped: Recipe) -> None:
    torn = tmp_path / "cut" / "checkpoints" / "checkpoint-60"  # killed while it was writing one
    torn.mkdir()
    (torn / "trainer_state.json").write_text("{")
    run(Inputs(pairs, None, tmp_path / "whole"), stopped, tmp_path / "uninterrupted")
    run(Inputs(pairs, None, tmp_path / "cut"), stopped, tmp_path / "resumed", resume=True)
    whole, cut = (load_file(ModelFolder(tmp_path / name).weights) for name in ("uninterrupted", "resumed"))
    assert whole.keys() == cut.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(cut[name], weight, atol=1e-6, rtol=1e-5)


def test_a_stopped_run_is_neither_overwritten_nor_mixed_with_another(
    tmp_path: Path, pairs: Path, stopped: Recipe
) -> None:
    with pytest.raises(InvalidInputError, match="holds a run that was stopped: go on with --resume"):
        run(Inputs(pairs, None, tmp_path / "cut"), stopped, tmp_path / "resumed")
    with pytest.raises(InvalidInputError, match="holds another run"):
        run(Inputs(pairs, None, tmp_path / "cut"), recipe(tmp_path, 5), tmp_path / "resumed", resume=True)


def test_resuming_before_the_first_checkpoint_begins_anew(tmp_path: Path, pairs: Path) -> None:
    run(Inputs(pairs, None, tmp_path / "work"), recipe(tmp_path, 0.1), tmp_path / "model", resume=True)
    assert (tmp_path / "model" / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "a", "document": "b"}', "pairs.jsonl:2: nothing here that the recipe's loss learns from"),
        ('{"query": "a", "document": "b", "label": 1}', "give loss.hard a weight, or score the pairs"),
        ('{"query": "a"}', "pairs.jsonl:2: not a pair"),
        ("{oops", "pairs.jsonl:2: not a pair"),
        ('{"query": "a", "document": "b", "score": 2}', "pairs.jsonl:2: score 2.0 is not a probability"),
        ('{"query": "a", "document": "b", "label": -1}', "pairs.jsonl:2: label -1.0 is not a probability"),
    ],
)
def test_bad_pairs_are_named_by_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": "a", "document": "b", "score": 1}\n' + line + "\n")
    with pytest.raises(InvalidInputError, match=message):
        run(Inputs(path, None, tmp_path / "work"), recipe(tmp_path, 1), tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("EPOCHS", '"many"', "recipe.toml: not a recipe.*schedule.epochs"),
        ("epochs", "epoch", "recipe.toml: not a recipe .no field schedule.epoch; there are accumulate"),
        ("[model]", "preset = 'big'\n[model]", 'no preset "big": name one of paper, mini, small, tiny'),
        ("[model]", "[model", "recipe.toml: not TOML"),
        ("heads = 2", "heads = 3", "hidden_size 32 is not a multiple of heads 3"),
    ],
)
def test_a_bad_recipe_is_named_with_its_field(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace(old, new).replace("EPOCHS", "1"))
    with pytest.raises(InvalidInputError, match=message):
        read_recipe(path)


@pytest.mark.parametrize("setting", ["epochs", "=3", "a b=3"])
def test_a_setting_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(InvalidInputError, match="is no setting"):
        parse_change(setting)


def test_a_recipe_can_start_from_a_preset_and_be_changed() -> None:
    changed = read_recipe(
        None, [{"preset": "paper"}, parse_change("model.tower.layers=3"), parse_change("loss.hard=0.5")]
    )
    assert changed.model == TwinConfig(tower=TowerConfig(layers=3))
    assert changed.loss == Loss(hard=0.5)


def test_a_folder_that_is_no_teacher_is_refused(tmp_path: Path, pairs: Path) -> None:
    with pytest.raises(ModelError, match="not a sentence-transformers folder"):
        run(Inputs(pairs, tmp_path, tmp_path / "work"), recipe(tmp_path, 1), tmp_path / "model")
