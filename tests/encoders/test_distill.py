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
from twinbert.encoders.training.run import Inputs, run
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
            }
            file.write(json.dumps(row) + "\n")
    return path


def recipe(tmp_path: Path, epochs: float) -> Path:
    path = tmp_path / f"recipe{epochs}.toml"
    path.write_text(RECIPE.replace("EPOCHS", str(epochs)))
    return path


def test_soft_labels_teach_both_crossings(tmp_path: Path, pairs: Path) -> None:
    run(Inputs(pairs, None, tmp_path / "work"), recipe(tmp_path, 12), tmp_path / "model")
    encoder = TwinEncoder.from_pretrained(tmp_path / "model")
    queries = encoder.encode_queries([f"open {thing}" for thing in THINGS])
    documents = encoder.encode_documents([f"{thing} copy" for thing in THINGS])
    by_cosine = (queries @ documents.T).argmax(axis=1)
    by_residual = np.stack([encoder.score(query, documents) for query in queries]).argmax(axis=1)
    assert (by_cosine == np.arange(8)).mean() >= 0.75
    assert (by_residual == np.arange(8)).mean() >= 0.75
    assert (tmp_path / "model" / "recipe.toml").read_text() == recipe(tmp_path, 12).read_text()


def test_a_stopped_run_resumes_to_the_same_weights(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from twinbert.encoders.training import distill

    class StoppedError(Exception):
        pass

    real = distill.Student.forward
    steps = 0

    def killed(*arguments: object, **named: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 40:  # a checkpoint was written after 30 steps and an evaluation made
            raise StoppedError
        return real(*arguments, **named)  # type: ignore[arg-type]

    wanted = recipe(tmp_path, 4)
    run(Inputs(pairs, None, tmp_path / "whole"), wanted, tmp_path / "uninterrupted")
    with monkeypatch.context() as patched:
        patched.setattr(distill.Student, "forward", killed)
        with pytest.raises(StoppedError):
            run(Inputs(pairs, None, tmp_path / "cut"), wanted, tmp_path / "resumed")
    run(Inputs(pairs, None, tmp_path / "cut"), wanted, tmp_path / "resumed", resume=True)
    whole, cut = (load_file(ModelFolder(tmp_path / name).weights) for name in ("uninterrupted", "resumed"))
    assert whole.keys() == cut.keys()
    for name, weight in whole.items():
        torch.testing.assert_close(cut[name], weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"query": "a", "document": "b"}', "pairs.jsonl:2: no score, and no --teacher to make one"),
        ('{"query": "a"}', "pairs.jsonl:2: not a pair"),
        ("{oops", "pairs.jsonl:2: not a pair"),
        ('{"query": "a", "document": "b", "score": 2}', "pairs.jsonl:2: score 2.0 is not a probability"),
    ],
)
def test_bad_pairs_are_named_by_line(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": "a", "document": "b", "score": 1}\n' + line + "\n")
    with pytest.raises(InvalidInputError, match=message):
        run(Inputs(path, None, tmp_path / "work"), recipe(tmp_path, 1), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_bad_recipe_is_named_with_its_field(tmp_path: Path, pairs: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE.replace("EPOCHS", '"many"'))
    with pytest.raises(InvalidInputError, match="recipe.toml: not a recipe.*schedule.epochs"):
        run(Inputs(pairs, None, tmp_path / "work"), path, tmp_path / "model")


def test_a_folder_that_is_no_teacher_is_refused(tmp_path: Path, pairs: Path) -> None:
    with pytest.raises(ModelError, match="not a sentence-transformers folder"):
        run(Inputs(pairs, tmp_path, tmp_path / "work"), recipe(tmp_path, 1), tmp_path / "model")
