"""transformers' Trainer as our runs use it: our batches, our parameter groups, our measures, safe resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ...errors import InvalidInputError
from .data import Batch, BatchedPairs
from .measures import grouped_auc, roc_auc
from .objective import RELEVANT
from .recipe import Schedule
from .student import Student

Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""
CROSSINGS = ("cosine.", "head.")


class StudentTrainer(Trainer):
    """Trainer with learning rates of their own for token tables and crossings, and with measures of judged pairs."""

    schedule = Schedule()

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """AdamW over three groups: the token tables, the crossings, everything else."""
        if self.optimizer is None:
            rates = {
                "table": self.schedule.table_learning_rate,
                "crossing": self.schedule.crossing_learning_rate,
                "tower": self.schedule.learning_rate,
            }
            groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
            for name, weight in (model or self.model).named_parameters():  # type: ignore[union-attr]
                if weight.requires_grad:
                    groups[_group(name)].append(weight)
            self.optimizer = torch.optim.AdamW(
                [
                    {
                        "params": weights,
                        "lr": rates[name],
                        "weight_decay": 0.0 if name == "table" else self.schedule.weight_decay,
                    }
                    for name, weights in groups.items()
                    if weights
                ],
                fused=True,
            )
        return self.optimizer

    def evaluate(self, *arguments: Any, **named: Any) -> dict[str, float]:  # noqa: ANN401 - the Trainer's own
        """The mean loss, and where the held-out pairs are judged, the ROC-AUC of what is served."""
        metrics: dict[str, float] = super().evaluate(*arguments, **named)
        if isinstance(self.model, Student) and isinstance(self.eval_dataset, BatchedPairs):
            metrics |= {f"eval_{name}": value for name, value in judged(self.model, self.eval_dataset).items()}
        return metrics


def _group(name: str) -> str:
    if ".table." in name:
        return "table"
    return "crossing" if name.startswith(CROSSINGS) else "tower"


def judged(student: Student, held_out: BatchedPairs) -> dict[str, float]:
    """ROC-AUC of the served logits on the judged pairs, pooled (``auc``) and by query (``query_auc``)."""
    device = next(student.parameters()).device
    data, logits = held_out.data, []
    student.eval()
    with torch.no_grad():
        for place in range(len(held_out)):
            batch = {name: {k: v.to(device) for k, v in part.items()} for name, part in held_out[place].items()}
            logits.append(student.pair_logits(**batch).float().cpu().numpy())
    places = np.concatenate(held_out.batches) if held_out.batches else np.empty(0, dtype=np.int64)
    labels = data.labels[places]
    known = ~np.isnan(labels)
    scores, queries, relevant = np.concatenate(logits)[known], data.queries[places][known], labels[known] >= RELEVANT
    computed = {"auc": lambda: roc_auc(relevant, scores), "query_auc": lambda: grouped_auc(queries, relevant, scores)}
    return {name: computed[name]() for name in measurable(queries, relevant)}


def measurable(queries: NDArray[np.int64], relevant: NDArray[np.bool_]) -> list[str]:
    """Which measures judged pairs have: ``auc`` where there are both kinds, ``query_auc`` where one query has both."""
    if relevant.all() or not relevant.any():
        return []
    mixed = np.intersect1d(queries[relevant], queries[~relevant])
    return ["auc", "query_auc"] if len(mixed) else ["auc"]


class Reporting(TrainerCallback):
    """Hands each step to our own progress bar; the Trainer's would write to standard output."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002 - the Trainer's signature
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **named: Any,  # noqa: ANN401, ARG002
    ) -> None:
        """Report the steps done."""
        self.report("training", state.global_step, state.max_steps)


def train(
    trainer: StudentTrainer, schedule: Schedule, work: Path, report: Report | None, *, resume: bool
) -> dict[str, Any]:
    """Run a trainer to its end, from its last whole checkpoint where ``resume`` is set.

    Gives what came of it: steps, seconds, and the held-out measures of the weights that are kept.
    """
    trainer.schedule = schedule
    trainer.remove_callback(PrinterCallback)
    if report:
        trainer.add_callback(Reporting(report))
    if schedule.patience:
        trainer.add_callback(EarlyStoppingCallback(schedule.patience))
    found = last_checkpoint(work) if resume else None
    done = trainer.train(resume_from_checkpoint=None if found is None else str(found))
    measures = trainer.evaluate() if len(trainer.eval_dataset or ()) else {}  # type: ignore[arg-type]
    kept = ("eval_loss", "eval_auc", "eval_query_auc")
    return {
        "steps": done.global_step,
        "seconds": round(done.metrics["train_runtime"], 1),
        "held_out": {name.removeprefix("eval_"): round(measures[name], 5) for name in kept if name in measures},
    }


def arguments(schedule: Schedule, batches: int, work: Path) -> TrainingArguments:
    """A schedule in the Trainer's terms; each of its batches is one of our items.

    Raises InvalidInputError for fp16 on a machine without an accelerator.
    """
    if schedule.precision == "fp16" and not torch.accelerator.is_available():
        raise InvalidInputError("schedule.precision fp16 needs a GPU: say bf16 or fp32")
    steps = max(1, batches // schedule.accumulate) * schedule.epochs
    best = bool(schedule.patience)
    return TrainingArguments(
        output_dir=str(work / "checkpoints"),
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=1,
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=schedule.accumulate,
        learning_rate=schedule.learning_rate,
        weight_decay=schedule.weight_decay,
        lr_scheduler_type="linear",
        warmup_steps=int(schedule.warmup_share * steps),
        use_cpu=not torch.accelerator.is_available(),
        bf16=schedule.precision == "bf16",
        fp16=schedule.precision == "fp16",
        logging_steps=50,
        eval_strategy="steps" if schedule.held_out else "no",
        eval_steps=schedule.checkpoint_steps,
        save_steps=schedule.checkpoint_steps,
        save_total_limit=1,
        load_best_model_at_end=best,
        metric_for_best_model=f"eval_{schedule.measure}" if best else None,
        greater_is_better=schedule.measure != "loss" if best else None,
        restore_callback_states_from_checkpoint=best,
        prediction_loss_only=True,
        label_names=["pairs"],  # their presence is what makes the Trainer compute a loss in evaluation
        remove_unused_columns=False,
        seed=schedule.seed,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
        report_to="tensorboard" if find_spec("tensorboard") else "none",
    )


def last_checkpoint(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end; None before any."""
    found = sorted((work / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    return next((path for path in reversed(found) if _is_whole(path)), None)


def _is_whole(checkpoint: Path) -> bool:
    """Whether its state, which the Trainer writes last, can be read."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def only(items: list[Batch]) -> Batch:
    """The one item of a Trainer's batch, which is a batch of ours."""
    return items[0]
