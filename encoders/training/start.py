"""A student's first weights: random, a model's own, a checkpoint's layers, or fitted to a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelError
from ..folder import locate
from .checkpoint import Checkpoint, copy_checkpoint, load_checkpoint
from .data import EncodedTexts
from .initialise import initialise
from .recipe import Recipe, Start
from .saving import load
from .student import Student
from .teacher import BiEncoderTeacher
from .towers import Tower


class FirstWeights:
    """Where a run's first weights and its WordPiece vocabulary come from; loads what the recipe names, once.

    teacher: the bi-encoder teacher, or None.

    Raises ModelError for a model or checkpoint that cannot be loaded, or that is named beside another start.
    """

    def __init__(self, start: Start, teacher: BiEncoderTeacher | None) -> None:
        if sum([start.model is not None, start.checkpoint is not None, start.fitted]) > 1:
            raise ModelError("a student has one start: name a model, or a checkpoint, or say fitted")
        if start.fitted and teacher is None:
            raise ModelError("a fitted start needs a teacher of vectors: name one with --teacher")
        self.start, self.teacher = start, teacher
        self.model = locate(start.model) if start.model else None
        self.checkpoint: Checkpoint | None = load_checkpoint(start.checkpoint) if start.checkpoint else None

    @property
    def vocabulary(self) -> Path | None:
        """The ``tokenizer.json`` that comes with the start, or with the teacher."""
        if self.model is not None and self.model.tokenizer.exists():
            return self.model.tokenizer
        if self.checkpoint is not None:
            return self.checkpoint.tokenizer
        return self.teacher.source / "tokenizer.json" if self.teacher else None

    def give(self, student: Student, texts: EncodedTexts) -> None:
        """Give a student its first weights; ``texts``: a sample that a fitted start is fitted to."""
        if self.model is not None:
            _take_over(student, load(self.model))
        elif self.checkpoint is not None:
            _copy(student, self.checkpoint.bert, self.start)
        elif self.teacher is not None and self.start.fitted:
            _fit(student, self.teacher, self.start, texts)


def student_of(recipe: Recipe, first: FirstWeights, texts: EncodedTexts) -> Student:
    """A student of a recipe's shape with its first weights; crossings alone are left to train where it says so."""
    student = Student(recipe.model, recipe.loss)
    first.give(student, texts)
    if recipe.schedule.trained == "crossings":
        student.towers.requires_grad_(False)
    return student


def _take_over(student: Student, model: Student) -> None:
    """Take the weights of a model of the same shape; a head that it does not have, or has otherwise, starts anew."""
    theirs = model.state_dict()
    if model.towers.config.crossing != student.towers.config.crossing:
        theirs = {name: weight for name, weight in theirs.items() if not name.startswith("head.")}
    if student.towers.separate is not None and model.towers.separate is None:
        shared = model.towers.query.state_dict()
        theirs |= {f"towers.separate.{name}": weight for name, weight in shared.items()}
    try:
        left = student.load_state_dict(theirs, strict=False)
    except RuntimeError as error:
        raise ModelError(
            f"start.model has other shapes than [model] says ({str(error).splitlines()[-1].strip()})"
        ) from error
    if strange := [name for name in (*left.missing_keys, *left.unexpected_keys) if not name.startswith("head.")]:
        raise ModelError(f"start.model has other towers than [model] says ({strange[0]}): leave [model] to the model")


def _copy(student: Student, bert: Any, start: Start) -> None:  # noqa: ANN401 - transformers' modules are untyped
    towers = student.towers
    copy_checkpoint(towers.document, bert, layers_of(towers.document, start.layers))
    if towers.separate is not None:
        own = start.query_layers or (start.layers if towers.config.query_tower is None else ())
        copy_checkpoint(towers.query, bert, layers_of(towers.query, own))


def _fit(student: Student, teacher: BiEncoderTeacher, start: Start, texts: EncodedTexts) -> None:
    towers = student.towers
    if towers.config.query_tower is not None:
        raise ModelError("a fitted start is for towers of one shape: start from a checkpoint")
    initialise(towers.query, teacher, layers_of(towers.query, start.layers), texts)
    if towers.separate is not None:
        towers.separate.load_state_dict(towers.query.state_dict())


def layers_of(tower: Tower, named: Sequence[int]) -> Sequence[int]:
    """The layers that a start names, or the first ones."""
    return named or range(tower.config.layers)
