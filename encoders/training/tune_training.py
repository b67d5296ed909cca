"""The loop of tuning: epochs over the questions, an anchor to the original, an end by the clock or by no gain."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .losses import alignment_loss
from .student import Student
from .towers import Tower
from .trainer import Report
from .tune_batches import Batches, TuneBatch
from .tune_encoding import TowerEncoder
from .tune_loss import batch_loss
from .tune_options import TuneOptions

LARGEST_GRADIENT = 1.0
"""Norm that a step's gradient is cut down to."""
WARMUP = 0.1
"""Share of the run in which the learning rate rises."""
WEIGHT_DECAY = 0.01
Weights = dict[str, Tensor]


class Clock:
    """Time of a run. minutes: what there is of it, from now on."""

    def __init__(self, minutes: float) -> None:
        self.start, self.seconds = time.monotonic(), 60.0 * minutes

    @property
    def spent(self) -> float:
        """Seconds gone."""
        return time.monotonic() - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """General texts that a tower is to give the vectors that it gave before.

    tower: the one that is trained. texts: read by it. rows: ``(n,)``. vectors: ``(n, dimension)`` unit rows.
    """

    tower: Tower
    texts: TowerEncoder
    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def loss(self, count: int, draw: np.random.Generator) -> Tensor:
        """Mean of 1 − cosine over some of the texts."""
        places = draw.choice(len(self.rows), min(count, len(self.rows)), replace=False)
        vectors = self.texts.learn(self.tower, self.rows[places])
        return alignment_loss(vectors, torch.from_numpy(self.vectors[places]))


@dataclass(frozen=True, slots=True, eq=False)
class FixedVectors:
    """Vectors of a tower that stays as it is, in the place of its encoder.

    rows: ``(n,)`` int64, ascending. vectors: ``(n, dimension)`` unit rows.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def learn(self, tower: Tower, rows: NDArray[np.int64]) -> Tensor:  # noqa: ARG002 - as TowerEncoder has it
        """The vectors of some rows."""
        return torch.from_numpy(self.vectors[np.searchsorted(self.rows, rows)])


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """All that training reads. chosen: the measure of a student on the questions held out, ``(questions,)``."""

    queries: TowerEncoder
    documents: TowerEncoder | FixedVectors
    batches: Batches
    anchors: Sequence[Anchor]
    chosen: Callable[[Student], NDArray[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What training came to.

    weights: of the best epoch. value: its measure, ``(questions,)``. epochs: loss and measure of each.
    """

    weights: Weights
    value: NDArray[np.float64]
    epochs: list[dict[str, float]]


class Trainer:
    """Trains a student in place, in evaluation mode: dropout would be drift to the anchor.

    until: seconds of the clock at which it stops, within an epoch if need be.
    """

    def __init__(self, student: Student, lesson: Lesson, options: TuneOptions, clock: Clock, until: float) -> None:
        self.student, self.lesson, self.options = student, lesson, options
        self.clock, self.until, self.began = clock, until, clock.spent
        self.draw = np.random.default_rng(options.seed)
        self.total, self.done = options.epochs * len(lesson.batches), 0
        self.optimizer = torch.optim.AdamW(self._groups(), weight_decay=WEIGHT_DECAY, fused=True)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]

    def run(self, before: NDArray[np.float64], report: Report | None) -> Course:
        """Train until there is no gain any more; the original's weights and measure are the first to beat."""
        best, value, stale, epochs = kept_weights(self.student), before, 0, []
        for epoch in range(1, self.options.epochs + 1):
            loss = self._epoch(report)
            found = self.lesson.chosen(self.student)
            epochs.append({"epoch": epoch, "loss": round(loss, 4), "held_out": round(float(found.mean()), 4)})
            stale = 0 if found.mean() > value.mean() else stale + 1
            if not stale:
                best, value = kept_weights(self.student), found
            if stale >= self.options.patience or self._progress() >= 1.0:
                break
        return Course(best, value, epochs)

    def _epoch(self, report: Report | None) -> float:
        losses = []
        for batch in self.lesson.batches.epoch(self.draw):
            if self._progress() >= 1.0:
                break
            losses.append(self._step(batch))
            self.done += 1
            if report:
                report("training", self.done, self._expected())
        return float(np.mean(losses)) if losses else float("nan")

    def _step(self, batch: TuneBatch) -> float:
        towers, lesson = self.student.towers, self.lesson
        queries = lesson.queries.learn(towers.query, batch.queries)
        documents = lesson.documents.learn(towers.document, batch.documents)
        loss = batch_loss(self.student, queries, documents, batch, self.options)
        if self.options.anchor:
            held = [anchor.loss(self.options.anchors, self.draw) for anchor in lesson.anchors]
            loss = loss + self.options.anchor * torch.stack(held).mean()
        self._set_rates()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.student.parameters(), LARGEST_GRADIENT)
        self.optimizer.step()
        return float(loss.detach())

    def _progress(self) -> float:
        """How much of the run is over, by steps or by the clock, whichever is further."""
        clock = (self.clock.spent - self.began) / max(self.until - self.began, 1e-9)
        # Before the first step nobody knows how long one takes: the clock counts only when it has run out.
        return max(self.done / self.total, clock if self.done or clock >= 1.0 else 0.0)

    def _expected(self) -> int:
        """Steps that there is time for."""
        return max(self.done, min(self.total, int(self.done / max(self._progress(), 1e-9))))

    def _set_rates(self) -> None:
        progress = self._progress()
        share = min(1.0, (self.done + 1) / max(1.0, WARMUP * self.total)) * max(0.0, 1.0 - progress)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share

    def _groups(self) -> list[dict[str, object]]:
        towers = [weight for weight in self.student.towers.parameters() if weight.requires_grad]
        inside = {id(weight) for weight in self.student.towers.parameters()}
        crossings = [weight for weight in self.student.parameters() if id(weight) not in inside]
        return [
            {"params": towers, "lr": self.options.learning_rate},
            {"params": crossings, "lr": self.options.head_learning_rate},
        ]


def kept_weights(student: Student) -> Weights:
    """A copy of a student's weights."""
    return {name: weight.detach().clone() for name, weight in student.state_dict().items()}


def freeze(tower: Tower, layers: int) -> None:
    """Leave a tower's token table and its lowest layers as they are."""
    tower.tokens.requires_grad_(False)
    if layers:
        for part in (tower.widen, tower.positions, tower.norm, *tower.layers[:layers]):
            part.requires_grad_(False)
