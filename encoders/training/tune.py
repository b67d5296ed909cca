"""``twinbert train tune``: a model learns one's own labels in minutes, and keeps what it could do before.

Towers (and the residual head, where there is one) learn the judged pairs with hard negatives, while general texts hold
them to the original vectors; then the tuned weights are averaged with the original's. What is kept is chosen on
questions that were not trained on, and is the original where nothing is gained.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ...errors import InvalidInputError, ModelError
from ..config import TwinConfig
from ..folder import ModelFolder
from .run import require_free
from .saving import load
from .student import Student
from .trainer import Report
from .tune_blending import Blend, mixed_weights, smallest_that_keeps, tried_blends
from .tune_data import TuneData
from .tune_judge import HELD_OUT, REPORTED
from .tune_measures import gain_of
from .tune_options import TuneOptions
from .tune_preparing import Prepared, prepare
from .tune_report import TuneReport
from .tune_saving import write_model
from .tune_training import Clock, Course, Trainer, Weights, freeze, kept_weights

__all__ = ["TuneData", "TuneOptions", "TuneReport", "tune"]


def tune(
    model: Path, data: TuneData, out: Path, options: TuneOptions | None = None, progress: Report | None = None
) -> TuneReport:
    """Tune a model on labels and write it to a new folder, with its report in ``tune.json``.

    model: a twinbert model folder with its fp32 weights. out: it appears whole, or not at all.
    progress: told what is being done, how much of it is done, and how much there is.

    Raises ModelError for a model without its fp32 weights and for ``out`` where something is; InvalidInputError for
    data that has nothing to learn from, and for minutes that leave none to train in.
    """
    options = TuneOptions() if options is None else options
    clock, timer = Clock(options.minutes), Timer()
    require_free(out)
    folder = ModelFolder(model)
    torch.manual_seed(options.seed)
    student = student_to_tune(folder, options)
    with timer.phase("preparing"):
        prepared = prepare(student, folder, data, options, progress)
    report = _tuned(student, prepared, options, clock, timer, progress)
    with timer.phase("export"):
        report = write_model(student, folder, out, report, progress)
    report = dataclasses.replace(report, seconds=timer.seconds)
    (out / "tune.json").write_bytes(report.to_json())
    return report


class Timer:
    """Seconds of each phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens within for ``name``."""
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)


def student_to_tune(folder: ModelFolder, options: TuneOptions) -> Student:
    """The model as it is trained: with a query tower of its own where only that is tuned, its lower part frozen.

    Raises ModelError for a model without its fp32 weights, and for layers to freeze that leave nothing to train.
    """
    if not folder.weights.is_file():
        raise ModelError(
            f"{folder.weights} is missing, and tuning needs the fp32 weights: import a sentence-transformers model "
            "(twinbert model import), or distil one (twinbert train distill)"
        )
    student = load(folder)
    if options.query_tower_only:
        student = separated(student)
        student.towers.document.requires_grad_(False)
    towers = (
        [student.towers.query]
        if options.query_tower_only or student.towers.separate is None
        else [student.towers.query, student.towers.document]
    )
    for tower in towers:
        layers = len(tower.layers) // 6 if options.frozen is None else options.frozen
        if layers > len(tower.layers):
            raise ModelError(f"{folder.root.name} has {len(tower.layers)} layers, not {layers} to freeze")
        freeze(tower, layers)
    return student


def separated(student: Student) -> Student:
    """The same model with a query tower of its own; its documents, and their space, stay as they are."""
    config: TwinConfig = student.towers.config
    if not config.shared:
        return student
    apart = Student(dataclasses.replace(config, shared=False, space="", files={}))
    apart.towers.query.load_state_dict(student.towers.query.state_dict())
    apart.towers.document.load_state_dict(student.towers.query.state_dict())
    apart.cosine.load_state_dict(student.cosine.state_dict())
    if apart.head is not None and student.head is not None:
        apart.head.load_state_dict(student.head.state_dict())
    return apart.eval()


def _tuned(
    student: Student,
    prepared: Prepared,
    options: TuneOptions,
    clock: Clock,
    timer: Timer,
    progress: Report | None,
) -> TuneReport:
    """Train, blend, choose; the student is left with the weights that are kept."""
    original = kept_weights(student)
    judge, before = prepared.judge, prepared.before
    until = clock.seconds - prepared.seconds * (1 + judge.share * len(options.blends))
    if clock.spent >= until:
        raise InvalidInputError(
            f"{options.minutes:g} minutes are too few: preparing took {clock.spent / 60:.1f}, and judging will take "
            f"{(clock.seconds - until) / 60:.1f}: give more --minutes, or a smaller pool"
        )
    with timer.phase("training"):
        course = Trainer(student, prepared.lesson, options, clock, until).run(before.chosen, progress)
    with timer.phase("choosing"):
        blends = tried_blends(student, original, course, options, judge.chosen, progress)
        blend = smallest_that_keeps(blends, float(before.chosen.mean()), options.keep)
        changed = gain_of(before.chosen, blend.value).real
        _keep(student, original, course, blend, changed=changed)
    with timer.phase("reporting"):
        after = prepared.measured(student)
    return TuneReport(
        changed=changed,
        measure=judge.measure,
        questions=len(prepared.lesson.batches.questions),
        held_out=len(judge.questions),
        blend=blend.share if changed else 0.0,
        chosen=gain_of(before.chosen, blend.value),
        domain=before.gains(after, HELD_OUT),
        reported=before.gains(after, REPORTED),
        drift=prepared.drift(),
        epochs=course.epochs,
        blends=[{"share": tried.share, "held_out": round(float(tried.value.mean()), 4)} for tried in blends],
    )


def _keep(student: Student, original: Weights, course: Course, blend: Blend, *, changed: bool) -> None:
    weights = mixed_weights(original, course.weights, blend.share) if changed else original
    student.load_state_dict(weights)
    student.eval()
