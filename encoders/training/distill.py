"""``twinbert train distill``: pairs and a teacher in, a trained student out. transformers' Trainer runs the loop."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from transformers import set_seed

from ...errors import InvalidInputError
from ..config import Side
from ..folder import fingerprint
from ..serving.tokenizing import tokenizer_of
from .data import BatchedPairs, EncodedTexts, Pair, TrainingSet, encode_texts, read_pairs
from .fake_quantise import quantised
from .objective import RELEVANT
from .recipe import Recipe, Schedule
from .start import FirstWeights, student_of
from .student import Student
from .teacher import BiEncoderTeacher, teacher_vectors
from .trainer import Report, StudentTrainer, arguments, last_checkpoint, measurable, only, train


@dataclass(frozen=True)
class Inputs:
    """What a run reads and where it keeps its state.

    pairs: JSONL. teacher: a sentence-transformers folder, or None.
    work: checkpoints and the teacher's vectors; what ``resume`` continues from.
    """

    pairs: Path
    teacher: Path | None
    work: Path


@dataclass(frozen=True)
class Trained:
    """A trained student, in evaluation mode, with the vocabulary it was trained with and the figures of its run."""

    student: Student
    vocabulary: Path | None
    figures: dict[str, Any]


def distill(inputs: Inputs, recipe: Recipe, *, resume: bool = False, report: Report | None = None) -> Trained:
    """Train a student.

    resume: go on from the last checkpoint under ``inputs.work``, or begin where there is none.
    report: told what is being done, how much of it is done, and how much there is.

    Raises InvalidInputError for pairs that have nothing to learn from, and for a ``work`` folder of another run or of
    a run that was not to be resumed; ModelError for a teacher or a start that does not fit.
    """
    pairs = read_pairs(inputs.pairs, recipe.pairs)
    _require_labels(pairs, inputs, recipe)
    claim(inputs.work, run_name(msgspec.json.encode(recipe), inputs.pairs.read_bytes()), resume=resume)
    set_seed(recipe.schedule.seed)
    teacher = BiEncoderTeacher(inputs.teacher) if inputs.teacher else None
    first = FirstWeights(recipe.start, teacher)
    data = training_set(pairs, recipe, first, inputs.work, report)
    student = student_of(recipe, first, sample(data.document_texts, recipe))
    figures = _train(student, data, recipe, inputs.work, report, resume=resume)
    counts = {"pairs": len(pairs), "texts": len(data.query_texts)}
    return Trained(student.eval(), first.vocabulary, counts | figures)


def _require_labels(pairs: list[Pair], inputs: Inputs, recipe: Recipe) -> None:
    """Every pair must have what at least one part of the loss learns from."""
    if not pairs:
        raise InvalidInputError("holds no pairs", path=inputs.pairs)
    if inputs.teacher is not None:
        return
    loss = recipe.loss
    for number, pair in enumerate(pairs, start=1):
        scored = pair.score is not None and (loss.wants_scores or loss.contrastive)
        judged = pair.label is not None and (loss.hard or loss.contrastive)
        if not (scored or judged):
            message = "nothing here that the recipe's loss learns from: "
            hint = "give loss.hard a weight, or score the pairs" if pair.label is not None else "score or judge it"
            raise InvalidInputError(message + hint, path=inputs.pairs, line=number)


def run_name(*contents: bytes) -> str:
    """What tells one run from another: its recipe and what it reads, hashed."""
    return fingerprint(blake2b(content).digest() for content in contents)


def claim(work: Path, name: str, *, resume: bool) -> None:
    """Make ``work`` the folder of this run.

    Raises InvalidInputError when it is another run's, or holds this one's checkpoints and ``resume`` is not set.
    """
    note = work / "run"
    if last_checkpoint(work) is not None:
        if not resume:
            raise InvalidInputError(
                "holds a run that was stopped: go on with --resume, or name another folder", path=work
            )
        if not note.exists() or note.read_text(encoding="utf-8") != name:
            raise InvalidInputError(
                "holds another run, of other pairs or another recipe: name another folder", path=work
            )
    work.mkdir(parents=True, exist_ok=True)
    note.write_text(name, encoding="utf-8")


def training_set(
    pairs: list[Pair], recipe: Recipe, first: FirstWeights, work: Path, report: Report | None
) -> TrainingSet:
    """Tokenise the pairs' distinct texts once for each side, and ask a teacher of vectors for theirs."""
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.query, pair.document)))
    rows = {text: row for row, text in enumerate(texts)}
    targets = None
    if first.teacher is not None:
        told = (lambda done, total: report("teacher", done, total)) if report else None
        targets = teacher_vectors(first.teacher, texts, work / "teacher", told)

    def encoded(side: Side) -> EncodedTexts:
        return encode_texts(tokenizer_of(recipe.model, side, first.vocabulary), texts, targets)

    return TrainingSet(
        encoded("query"),
        encoded("document"),
        np.array([rows[pair.query] for pair in pairs]),
        np.array([rows[pair.document] for pair in pairs]),
        _known([pair.score for pair in pairs]),
        _known([pair.label for pair in pairs]),
    )


def _known(values: list[float | None]) -> NDArray[np.float32]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)


def sample(texts: EncodedTexts, recipe: Recipe) -> EncodedTexts:
    """The first texts, for the closed-form fits."""
    count = min(recipe.start.sample, len(texts))
    return EncodedTexts(texts.flat[: texts.starts[count]], texts.starts[: count + 1], texts.targets[:count])


def _train(
    student: Student, data: TrainingSet, recipe: Recipe, work: Path, report: Report | None, *, resume: bool
) -> dict[str, Any]:
    """Train in place, with checkpoints under ``work``."""
    schedule = recipe.schedule
    kept, held_out = data.held_apart(schedule.held_out, schedule.seed)
    if not len(kept):
        raise InvalidInputError(f"all pairs are held out: give schedule.held_out less than {schedule.held_out}")
    _require_measurable(data, held_out, schedule)
    grouped = recipe.loss.wants_groups
    learned, measured = (
        BatchedPairs(data, places, schedule.batch_tokens, grouped=grouped) for places in (kept, held_out)
    )
    trainer = StudentTrainer(
        model=student,
        args=arguments(schedule, len(learned), work),
        train_dataset=learned,
        eval_dataset=measured,
        data_collator=only,
    )
    rounding = quantised(student.towers) if recipe.loss.quantised else nullcontext()
    with rounding:
        return train(trainer, schedule, work, report, resume=resume)


def _require_measurable(data: TrainingSet, held_out: NDArray[np.int64], schedule: Schedule) -> None:
    """The measure that tells the best checkpoint must be there at every measurement."""
    if not schedule.patience:
        return
    judged = held_out[~np.isnan(data.labels[held_out])]
    found = ["loss", *measurable(data.queries[judged], data.labels[judged] >= RELEVANT)] if len(held_out) else []
    if schedule.measure not in found:
        raise InvalidInputError(
            f"schedule.measure {schedule.measure} cannot be taken of the {len(held_out)} pairs held out: raise "
            "schedule.held_out, or give the pairs labels of both kinds"
        )
