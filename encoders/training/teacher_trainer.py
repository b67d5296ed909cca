"""The loop that fine-tunes a teacher: transformers' Trainer over whole queries, measured by the AUC within them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from .checkpoint import quiet
from .cross_encoder import CrossEncoder, log_odds
from .measures import grouped_auc, mean_average_precision, roc_auc
from .pair_files import JudgedPair
from .teacher_data import JudgedSet, QueryBatches, QueryRows, TeacherBatch
from .teacher_losses import guide_loss, label_loss
from .teacher_recipe import TeacherRecipe
from .trainer import last_checkpoint

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherMeasures:
    """How well scores separate judged pairs; see ``measures``."""

    roc_auc: float
    roc_auc_per_query: float
    mean_average_precision: float


def measure_teacher(encoder: CrossEncoder, pairs: Sequence[JudgedPair]) -> TeacherMeasures:
    """Score judged pairs and measure; labels from one half up count as matches.

    Raises InvalidInputError when no query has both kinds.
    """
    queries = [pair.query for pair in pairs]
    labels = np.array([pair.label >= 0.5 for pair in pairs])
    scores = encoder.score(queries, [pair.document for pair in pairs])
    return TeacherMeasures(
        roc_auc=roc_auc(labels, scores),
        roc_auc_per_query=grouped_auc(queries, labels, scores),
        mean_average_precision=mean_average_precision(queries, labels, scores),
    )


def in_bf16(recipe: TeacherRecipe) -> bool:
    """Whether the recipe trains in bf16 on this machine."""
    fits = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return recipe.precision == "bf16" or (recipe.precision == "auto" and fits)


@dataclass(frozen=True)
class TeacherRun:
    """One fine-tuning.

    encoder: trained in place. data: what it learns from. held_out: pairs that early stopping looks at; none: it trains
    to the end. checkpoints: their folder.
    """

    encoder: CrossEncoder
    data: JudgedSet
    held_out: Sequence[JudgedPair]
    recipe: TeacherRecipe
    checkpoints: Path

    def train(self, *, resume: bool, progress: Report | None) -> int:
        """Train to the end, from the last checkpoint where ``resume``; gives the steps done.

        progress: told (done, total) in steps.
        """
        for module in self.encoder.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = self.recipe.dropout
        if self.recipe.freeze_table:
            self.encoder.model.get_input_embeddings().requires_grad_(False)
        rows = QueryRows(self.data.rows_by_query(), self.data.labels, self.recipe)
        trainer = TeacherTrainer(self, rows)
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(_Epochs(rows))
        if self.held_out:
            measure_teacher(self.encoder, self.held_out)  # what cannot be measured is refused before the training
            trainer.add_callback(EarlyStoppingCallback(self.recipe.patience))
        if progress:
            trainer.add_callback(_Steps(progress))
        found = last_checkpoint(self.checkpoints.parent) if resume else None
        with quiet():
            done = trainer.train(resume_from_checkpoint=None if found is None else str(found))
        return done.global_step


class TeacherTrainer(Trainer):
    """Trainer that learns from whole queries and is measured by the held-out ones."""

    def __init__(self, run: TeacherRun, rows: QueryRows) -> None:
        super().__init__(
            model=run.encoder.model,
            args=_arguments(run, len(rows)),
            train_dataset=rows,
            eval_dataset=run.held_out if run.held_out else None,
            data_collator=QueryBatches(run.data, run.encoder, run.recipe.batch_tokens),
        )
        self.run = run
        self.model_accepts_loss_kwargs = False  # our loss is a mean: the Trainer divides it when it accumulates

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:  # noqa: ARG002
        """AdamW over the checkpoint's weights and, faster, the classifier; no decay for biases and norms."""
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(_groups(self.run.encoder.model, self.run.recipe), fused=True)
        return self.optimizer

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: TeacherBatch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002 - the Trainer's signature
    ) -> Any:  # noqa: ANN401
        """The guide's loss in the guided epochs, the labels' after them."""
        recipe = self.run.recipe
        logits = torch.cat([log_odds(model(**part).logits) for part in inputs["parts"]])
        if (self.state.epoch or 0) < recipe.guided_epochs and not inputs["guides"].isnan().any():
            loss = guide_loss(logits, inputs["guides"], inputs["queries"], recipe)
        else:
            loss = label_loss(logits, inputs["labels"], inputs["queries"], recipe.listwise)
        return (loss, {"logits": logits}) if return_outputs else loss

    def evaluate(
        self,
        eval_dataset: Any = None,  # noqa: ANN401, ARG002 - the Trainer's signature
        ignore_keys: list[str] | None = None,  # noqa: ARG002
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Measure the held-out pairs."""
        measures = asdict(measure_teacher(self.run.encoder, self.run.held_out))
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in measures.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def _arguments(run: TeacherRun, queries: int) -> TrainingArguments:
    """The recipe in the Trainer's terms; its items are queries."""
    recipe, judged = run.recipe, bool(run.held_out)
    steps_an_epoch = math.ceil(math.ceil(queries / recipe.queries_per_batch) / recipe.accumulate)
    every = math.ceil(steps_an_epoch / recipe.checkpoints)
    return TrainingArguments(
        output_dir=str(run.checkpoints),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.queries_per_batch,
        gradient_accumulation_steps=recipe.accumulate,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=int(recipe.warmup_share * recipe.epochs * steps_an_epoch),
        use_cpu=not torch.accelerator.is_available(),
        bf16=in_bf16(recipe),
        eval_strategy="steps" if judged else "no",
        eval_steps=every,
        save_steps=every,
        save_total_limit=1,
        load_best_model_at_end=judged,
        metric_for_best_model="roc_auc_per_query",
        greater_is_better=True,
        logging_steps=every,
        remove_unused_columns=False,
        seed=recipe.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="tensorboard" if find_spec("tensorboard") else "none",
    )


def _groups(model: torch.nn.Module, recipe: TeacherRecipe) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    prefix = f"{getattr(model, 'base_model_prefix', '')}."
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            rate = recipe.learning_rate if name.startswith(prefix) else recipe.head_learning_rate
            decay = recipe.weight_decay if weight.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(weight)
    return [{"params": weights, "lr": rate, "weight_decay": decay} for (rate, decay), weights in groups.items()]


class _Epochs(TrainerCallback):
    """Tells the data which epoch it is, wherever training goes on from."""

    def __init__(self, rows: QueryRows) -> None:
        self.rows = rows

    def on_epoch_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ANN401, ARG002
        self.rows.epoch = int((state.epoch or 0) + 1e-6)


class _Steps(TrainerCallback):
    """Tells somebody how far the training is."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:  # noqa: ANN401, ARG002
        self.report(state.global_step, state.max_steps)
