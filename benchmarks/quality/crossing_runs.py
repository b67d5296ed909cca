"""The students of the residual crossing's curve: how each is trained on a teacher's scores of short pairs."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from transformers import set_seed
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import CrossingConfig, read_config
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.encoders.training.data import BatchedPairs, EncodedTexts, TrainingSet, encode_texts
from twinbert.encoders.training.recipe import Loss, Schedule
from twinbert.encoders.training.saving import load
from twinbert.encoders.training.student import Student
from twinbert.encoders.training.trainer import StudentTrainer, arguments, only, train

GROUPS_PER_BATCH = 8
MOST_VIEWS, MOST_EPOCHS = 10_000, 4
"""Small samples are read again until so many pairs were seen, but not more often than this."""
TABLE = "towers.query.tokens.table.weight"
SCHEDULE = Schedule(
    learning_rate=1e-4, crossing_learning_rate=1e-3, precision="bf16", held_out=0, checkpoint_steps=100_000
)
FORMS = {
    "cosine": None,
    "max": CrossingConfig(),
    "product": CrossingConfig(combination="product"),
    "bottleneck": CrossingConfig(residual="bottleneck"),
    "pure": CrossingConfig(cosine=False),
}
"""The heads that are compared: none, the paper's beside the cosine, two other forms, and the paper's own score."""


@dataclass(frozen=True)
class ScoredGroups:
    """Groups of pairs in the order of the file.

    pairs: as written. groups: for each group the places of its pairs.
    """

    pairs: list[dict[str, Any]]
    groups: list[NDArray[np.int64]]

    @classmethod
    def of(cls, pairs: list[dict[str, Any]]) -> ScoredGroups:
        """Cut pairs where the group changes."""
        numbers = np.array([pair["group"] for pair in pairs])
        return cls(pairs, np.split(np.arange(len(pairs)), np.flatnonzero(np.diff(numbers)) + 1))

    def part(self, first: int, last: int) -> ScoredGroups:
        """Some of the groups."""
        return ScoredGroups.of([self.pairs[place] for group in self.groups[first:last] for place in group])


@dataclass(frozen=True)
class Run:
    """One student. form: of ``FORMS``. pairs: how many it is trained on; 0 for the start as it is."""

    form: str
    pairs: int

    @property
    def name(self) -> str:
        """The run's name in files and tables."""
        return f"{self.form}-{self.pairs}"

    @property
    def epochs(self) -> float:
        """How often the pairs are read."""
        return float(np.clip(MOST_VIEWS // max(self.pairs, 1), 1, MOST_EPOCHS))


class GroupBatches(BatchedPairs):
    """Batches of whole groups, so that each text is encoded once for its four pairs; groups of one length together."""

    def __init__(self, data: TrainingSet, groups: list[NDArray[np.int64]]) -> None:
        self.data = data
        longest = [int(data.document_texts.lengths[data.documents[group]].max()) for group in groups]
        order = np.argsort(longest, kind="stable")
        self.batches = [
            np.concatenate([groups[place] for place in order[start : start + GROUPS_PER_BATCH]])
            for start in range(0, len(groups), GROUPS_PER_BATCH)
        ]


def starting_point(start: ModelFolder, form: str) -> Student:
    """The student before training: the start's towers and cosine, a new head of the form."""
    config = replace(read_config(start.config), crossing=FORMS[form], head_share=1.0)
    set_seed(0)
    student = Student(config, Loss(soft=1.0))
    kept = {name: weight for name, weight in load(start).state_dict().items() if not name.startswith("head.")}
    student.load_state_dict(kept, strict=False)
    student.towers.query.tokens.requires_grad_(requires_grad=False)
    return student


def trained(run: Run, scored: ScoredGroups, start: ModelFolder, folder: Path) -> Student:
    """Train a run's student, or read it where its weights are there."""
    student = starting_point(start, run.form)
    if not run.pairs:
        return student.eval()
    weights = folder / f"{run.name}.safetensors"
    if not weights.exists():
        began = time.perf_counter()
        _train(student, training_set(scored.part(0, run.pairs // 16), start, student), run, folder)
        kept = {name: tensor.contiguous() for name, tensor in student.state_dict().items() if name != TABLE}
        partial = weights.with_suffix(".partial")
        save_file(kept, partial)
        partial.replace(weights)
        print(f"{run.name}: trained in {time.perf_counter() - began:.0f} s", flush=True)
    student.load_state_dict(load_file(weights), strict=False)
    return student.eval()


def _train(student: Student, data: TrainingSet, run: Run, folder: Path) -> None:
    schedule = replace(SCHEDULE, epochs=run.epochs)
    groups = ScoredGroups.of([{"group": place // 16} for place in range(len(data.queries))]).groups
    batches = GroupBatches(data, groups)
    trainer = StudentTrainer(
        model=student,
        args=arguments(schedule, len(batches), folder / f"{run.name}.work"),
        train_dataset=batches,
        data_collator=only,
    )
    train(trainer, schedule, folder / f"{run.name}.work", None, resume=False)


def training_set(scored: ScoredGroups, start: ModelFolder, student: Student) -> TrainingSet:
    """Tokenise the pairs, each distinct text once a side."""
    sides = {"query": [pair["query"] for pair in scored.pairs], "document": [pair["document"] for pair in scored.pairs]}
    texts: dict[str, EncodedTexts] = {}
    rows: dict[str, NDArray[np.int64]] = {}
    for side in ("query", "document"):
        distinct = {text: row for row, text in enumerate(dict.fromkeys(sides[side]))}
        texts[side] = encode_texts(tokenizer_of(student.towers.config, side, start.tokenizer), list(distinct), None)  # type: ignore[arg-type]
        rows[side] = np.array([distinct[text] for text in sides[side]])
    scores = np.array([pair["score"] for pair in scored.pairs], dtype=np.float32)
    nothing = np.full(len(scores), np.nan, dtype=np.float32)
    return TrainingSet(texts["query"], texts["document"], rows["query"], rows["document"], scores, nothing)
