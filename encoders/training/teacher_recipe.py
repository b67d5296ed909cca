"""How a teacher is fine-tuned: the TOML file that ``twinbert train teacher`` takes, and that a teacher keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherRecipe:
    """One fine-tuning of a cross-encoder: AdamW, linear warm-up over ``warmup_share`` of the steps, linear decay to 0.

    epochs: passes over the queries; ``guided_epochs``, the first of them, follow a bi-encoder's cosine instead of
        the labels, where one guides.
    queries_per_batch: a query's pairs stay together. negatives_per_query: drawn anew each epoch; pairs of label 0.
    accumulate: batches to one step of the optimiser.
    learning_rate: of the checkpoint's weights. head_learning_rate: of the classifier. freeze_table: keep the token
        embeddings as they are, which spares memory and half of the optimiser's work.
    listwise: the share of the loss that compares the pairs of one query, softmax cross-entropy (ListNet, Cao et al.
        2007, top one); the rest is each pair's own cross-entropy.
    sharpness, centre: how the guide's cosine becomes a log-odds, ``sharpness · (cos − centre)``.
    longest: tokens of a pair, the longer text is cut first. batch_tokens: of one forward pass, padding included.
    dropout: in place of the checkpoint's own. precision: ``auto`` is bf16 on a GPU that has it, otherwise fp32.
    held_out: share of the queries that early stopping looks at; 0 trains on all to the end.
    patience: checkpoints without a better measure before it stops. checkpoints: an epoch, the last one is kept.
    """

    epochs: int = 3
    guided_epochs: int = 1
    queries_per_batch: int = 6
    negatives_per_query: int = 6
    accumulate: int = 1
    learning_rate: float = 1e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    freeze_table: bool = True
    listwise: float = 0.5
    sharpness: float = 12.0
    centre: float = 0.45
    longest: int = 64
    batch_tokens: int = 1_024
    dropout: float = 0.0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    held_out: float = 0.0
    patience: int = 3
    checkpoints: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        positive = ("epochs", "queries_per_batch", "negatives_per_query", "accumulate", "learning_rate", "batch_tokens")
        for name in (*positive, "head_learning_rate", "patience", "checkpoints"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("listwise", "warmup_share", "dropout", "held_out"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, not {getattr(self, name)}")
        if not 0 <= self.guided_epochs <= self.epochs:
            raise ValueError(f"guided_epochs must be between 0 and epochs, not {self.guided_epochs}")


def read_teacher_recipe(path: Path | None, changes: Mapping[str, Any] | None = None) -> TeacherRecipe:
    """Read a recipe from TOML, defaults where no file is named, with some fields changed.

    Raises InvalidInputError naming the field at fault, and the file where there is one.
    """
    try:
        written = {} if path is None else msgspec.toml.decode(path.read_bytes())
        values = {**written, **(changes or {})}
        unknown = sorted(set(values) - {field.name for field in dataclasses.fields(TeacherRecipe)})
        if unknown:
            raise InvalidInputError(
                f"{unknown[0]!r} is no field of a teacher's recipe: see docs/training.md", path=path
            )
        return msgspec.convert(values, TeacherRecipe, strict=False)
    except OSError as error:
        raise InvalidInputError(f"cannot be read ({error.strerror}): name a recipe in TOML", path=path) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInputError(f"not a teacher's recipe ({error}): see docs/training.md", path=path) from error


def write_teacher_recipe(recipe: TeacherRecipe, path: Path) -> None:
    """Write the recipe as it is in effect, every field: numbers, booleans and plain words are TOML as JSON has them."""
    lines = [f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in dataclasses.asdict(recipe).items()]
    path.write_text("".join(lines), encoding="utf-8")
