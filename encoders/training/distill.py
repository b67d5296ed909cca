"""``twinbert train distill``: pairs and a teacher in, a trained student out. transformers' Trainer runs the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import Trainer, TrainingArguments, set_seed

from ...errors import InvalidInputError
from ..serving.trigrams import TrigramTokenizer
from ..serving.wordpiece import WordPieceTokenizer
from .data import Batch, BatchedPairs, EncodedTexts, Pair, TrainingSet, encode_texts, read_pairs
from .initialise import initialise
from .recipe import Recipe
from .student import Student
from .teacher import BiEncoderTeacher, teacher_vectors

Tokenizer = TrigramTokenizer | WordPieceTokenizer


@dataclass(frozen=True)
class Inputs:
    """What a run reads and where it keeps its state.

    pairs: JSONL. teacher: a sentence-transformers folder, or None where every pair carries a score.
    work: checkpoints and the teacher's vectors; what ``resume`` continues from.
    """

    pairs: Path
    teacher: Path | None
    work: Path


def distill(
    inputs: Inputs,
    recipe: Recipe,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Student:
    """Train a student.

    progress: told (done, total) while the teacher encodes; the training itself shows the Trainer's own bar.

    Raises InvalidInputError for pairs that have no score and no teacher, ModelError for a teacher that does not fit.
    """
    set_seed(recipe.schedule.seed)
    teacher = BiEncoderTeacher(inputs.teacher) if inputs.teacher else None
    pairs = read_pairs(inputs.pairs, recipe.pairs)
    _require_labels(pairs, inputs)
    data = training_set(pairs, recipe, inputs, teacher, progress)
    student = Student(recipe.model, recipe.loss)
    if recipe.start.layers and teacher is not None:
        initialise(student.towers.query, teacher, recipe.start.layers, sample(data.document_texts, recipe))
        if student.towers.separate is not None:
            student.towers.separate.load_state_dict(student.towers.query.state_dict())
    run_trainer(student, data, recipe, inputs.work, resume)
    return student.eval()


def _require_labels(pairs: list[Pair], inputs: Inputs) -> None:
    if not pairs:
        raise InvalidInputError("holds no pairs", path=inputs.pairs)
    if inputs.teacher is None:
        for number, pair in enumerate(pairs, start=1):
            if pair.score is None:
                message = "no score, and no --teacher to make one: score the pairs first or name a teacher"
                raise InvalidInputError(message, path=inputs.pairs, line=number)


def training_set(
    pairs: list[Pair],
    recipe: Recipe,
    inputs: Inputs,
    teacher: BiEncoderTeacher | None,
    progress: Callable[[int, int], None] | None,
) -> TrainingSet:
    """Tokenise the pairs' distinct texts once for each side, and ask the teacher for their vectors."""
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.query, pair.document)))
    rows = {text: row for row, text in enumerate(texts)}
    targets = teacher_vectors(teacher, texts, inputs.work / "teacher", progress) if teacher else None
    query_side = encode_texts(tokenizer(recipe, teacher, recipe.model.query_tokens), texts, targets)
    document_side = encode_texts(tokenizer(recipe, teacher, recipe.model.document_tokens), texts, targets)
    return TrainingSet(
        query_side,
        document_side,
        np.array([rows[pair.query] for pair in pairs]),
        np.array([rows[pair.document] for pair in pairs]),
        np.array([np.nan if pair.score is None else pair.score for pair in pairs], dtype=np.float32),
    )


def tokenizer(recipe: Recipe, teacher: BiEncoderTeacher | None, longest: int) -> Tokenizer:
    """The recipe's tokeniser; WordPiece takes the teacher's own vocabulary."""
    if recipe.model.tower.tokenizer == "trigrams":
        return TrigramTokenizer(longest)
    if teacher is None:
        raise InvalidInputError("WordPiece needs a vocabulary: name a --teacher, or train on trigrams")
    return WordPieceTokenizer(teacher.source / "tokenizer.json", longest)


def sample(texts: EncodedTexts, recipe: Recipe) -> EncodedTexts:
    """The first texts, for the closed-form fits."""
    count = min(recipe.start.sample, len(texts))
    return EncodedTexts(texts.flat[: texts.starts[count]], texts.starts[: count + 1], texts.targets[:count])


class StudentTrainer(Trainer):
    """Trainer with a learning rate of its own for the token tables."""

    table_learning_rate = 1e-3

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over two groups: the token tables, and everything else."""
        if self.optimizer is None:
            named = list((model or self.model).named_parameters())  # type: ignore[union-attr]
            tables = [weight for name, weight in named if ".table." in name]
            others = [weight for name, weight in named if ".table." not in name]
            groups = [
                {"params": others, "lr": self.args.learning_rate, "weight_decay": self.args.weight_decay},
                {"params": tables, "lr": self.table_learning_rate, "weight_decay": 0.0},
            ]
            self.optimizer = torch.optim.AdamW(groups, fused=True)
        return self.optimizer


def run_trainer(student: Student, data: TrainingSet, recipe: Recipe, work: Path, resume: bool) -> None:
    """Train in place, with checkpoints under ``work``."""
    schedule = recipe.schedule
    order = np.random.default_rng(schedule.seed).permutation(len(data.queries))
    held_out, kept = order[: schedule.held_out], order[schedule.held_out :]
    train, dev = (BatchedPairs(data, places, schedule.batch_tokens) for places in (kept, held_out))
    trainer = StudentTrainer(
        model=student,
        args=arguments(recipe, len(train), work),
        train_dataset=train,
        eval_dataset=dev,
        data_collator=_only,
    )
    trainer.table_learning_rate = schedule.table_learning_rate
    trainer.train(resume_from_checkpoint=resume or None)


def arguments(recipe: Recipe, steps_an_epoch: int, work: Path) -> TrainingArguments:
    """The recipe in the Trainer's terms; each of its batches is one of our items."""
    schedule = recipe.schedule
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=int(schedule.warmup_share * schedule.epochs * steps_an_epoch),
        logging_steps=50,
        eval_strategy="steps",
        eval_steps=schedule.checkpoint_steps,
        save_steps=schedule.checkpoint_steps,
        save_total_limit=1,
        prediction_loss_only=True,
        label_names=["scores"],  # their presence is what makes the Trainer compute a loss in evaluation
        remove_unused_columns=False,
        seed=schedule.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        report_to="none",
    )


def _only(items: list[Batch]) -> Batch:
    return items[0]
