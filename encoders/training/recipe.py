"""A training run written down: the TOML file that ``twinbert train distill`` takes, and that a model keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ...errors import InvalidInputError
from ..config import TwinConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How the student starts.

    layers: the teacher's layers to copy; none: random weights.
    sample: texts that the closed-form fits see.
    """

    layers: tuple[int, ...] = ()
    sample: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How much each part of the loss counts.

    alignment: 1 − cosine to the teacher's vectors. soft: cross-entropy on the teacher's
    probabilities, for both crossings.
    sharpness, centre: how a bi-encoder teacher's cosine becomes a probability.
    """

    alignment: float = 0.0
    soft: float = 1.0
    temperature: float = 1.0
    sharpness: float = 12.0
    centre: float = 0.45


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up over ``warmup_share`` of the steps, linear decay to zero.

    batch_tokens: tokens a batch, padding included. table_learning_rate: of the token table.
    """

    epochs: float = 1.0
    learning_rate: float = 5e-4
    table_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.02
    batch_tokens: int = 2_048
    held_out: int = 2_000
    checkpoint_steps: int = 500
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One training run. ``pairs``: how many to read, all when None."""

    model: TwinConfig
    pairs: int | None = None
    start: Start = field(default_factory=Start)
    loss: Loss = field(default_factory=Loss)
    schedule: Schedule = field(default_factory=Schedule)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.

    Raises InvalidInputError naming the file and the field at fault.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Recipe, strict=False)
    except OSError as error:
        raise InvalidInputError(f"cannot be read ({error.strerror}): name a recipe in TOML", path=path) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidInputError(f"not a recipe ({error}): see docs/training.md", path=path) from error
