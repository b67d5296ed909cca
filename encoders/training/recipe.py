"""A training run written down: the TOML file that ``twinbert train distill`` takes, and that a model keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from ...errors import InvalidInputError, ModelError
from ..config import CrossingConfig, TowerConfig, TwinConfig, read_config
from ..folder import locate
from .checkpoint import shape_of
from .presets import PRESETS

Settings = dict[str, Any]
"""A recipe, or a part of one, as plain tables."""
MADE_BY_SAVING = ("space", "files", "format_version")
"""What ``config.json`` holds beyond a recipe's ``[model]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How the student starts; from random weights when nothing is named.

    model: a twinbert model folder to go on from; its configuration stands unless ``[model]`` changes it.
    checkpoint: a BERT-family checkpoint (folder or hub id) whose first layers and token table are copied.
    layers: which of its layers, or of the teacher's where the start is fitted; the first ones when none are named.
    query_layers: likewise for a query tower of its own.
    fitted: fit what is not copied to the teacher's vectors, in closed form (docs/decisions/0005).
    sample: texts that the closed-form fits see.
    """

    model: str | None = None
    checkpoint: str | None = None
    layers: tuple[int, ...] = ()
    query_layers: tuple[int, ...] = ()
    fitted: bool = False
    sample: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """How much each part of the loss counts; parts of weight 0 are left out.

    soft: cross-entropy on the teacher's probabilities, the paper's form. hard: the same on judgements.
    mse: squared error on the teacher's logits. margin: on its margins between two documents of one query.
    contrastive: each relevant document against all others of the batch.
    random_negatives: other documents of the batch a pair, held for irrelevant, at ``random_weight``.
    alignment: 1 − cosine to a bi-encoder teacher's vectors.
    temperature: of the soft labels. sharpness, centre: how a bi-encoder teacher's cosine becomes a probability.
    quantised: round weights and activations in training as the ``plain`` int8 export does.
    """

    soft: float = 1.0
    hard: float = 0.0
    mse: float = 0.0
    margin: float = 0.0
    contrastive: float = 0.0
    random_negatives: int = 0
    random_weight: float = 1.0
    alignment: float = 0.0
    temperature: float = 1.0
    sharpness: float = 12.0
    centre: float = 0.45
    quantised: bool = False

    @property
    def wants_scores(self) -> bool:
        """Whether a teacher's probabilities are learned from."""
        return bool(self.soft or self.mse or self.margin)

    @property
    def wants_groups(self) -> bool:
        """Whether a batch must hold a query's documents together."""
        return bool(self.margin or self.contrastive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast: AdamW, linear warm-up over ``warmup_share`` of the steps, linear decay to zero.

    trained: the whole student, or its ``crossings`` alone over frozen towers.
    batch_tokens: tokens a batch, padding included; ``accumulate`` batches make a step.
    table_learning_rate: of the token tables. crossing_learning_rate: of the crossings.
    precision: of the arithmetic; fp16 needs a GPU, bf16 pays where the processor has it.
    held_out: pairs, of whole queries, that are not trained on but measured every ``checkpoint_steps``.
    measure: by which the best checkpoint is told: the loss, or the ROC-AUC of judged pairs, pooled or by query.
    patience: measurements without a better one that end the run, whose best checkpoint is then kept; 0 for never.
    """

    trained: Literal["all", "crossings"] = "all"
    epochs: float = 1.0
    learning_rate: float = 5e-4
    table_learning_rate: float = 1e-3
    crossing_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.02
    batch_tokens: int = 2_048
    accumulate: int = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    held_out: int = 2_000
    measure: Literal["loss", "auc", "query_auc"] = "loss"
    patience: int = 0
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


def read_recipe(path: Path | None, changes: Sequence[Settings] = ()) -> Recipe:
    """Read a recipe from TOML and change it.

    The model's shape comes from ``preset``, from ``start.model`` or from ``start.checkpoint``; ``[model]`` is laid over
    it.
    path: None for nothing but ``changes``. changes: tables laid over the file's, later ones over earlier.

    Raises InvalidInputError naming the file and the field at fault.
    """
    settings = _read_tables(path) if path else {}
    for change in changes:
        settings = overlaid(settings, change)
    try:
        shape = _shape(settings.pop("preset", None), settings.get("start", {}))
        whole = overlaid(shape, settings)
        _require_known(whole, Recipe)
        return msgspec.convert(whole, Recipe, strict=False)
    except (msgspec.ValidationError, ModelError) as error:
        raise InvalidInputError(f"not a recipe ({error}): see docs/training.md", path=path) from error


def read_schedule(changes: Sequence[Settings]) -> Schedule:
    """A schedule that differs from the default by ``changes``; raises InvalidInputError naming the field at fault."""
    settings: Settings = {}
    for change in changes:
        settings = overlaid(settings, change)
    try:
        _require_known(settings, Schedule)
        return msgspec.convert(settings, Schedule, strict=False)
    except (msgspec.ValidationError, ModelError) as error:
        raise InvalidInputError(f"not a schedule ({error}): see docs/training.md") from error


def parse_change(setting: str) -> Settings:
    """One setting as a table: ``schedule.epochs=3`` gives ``{"schedule": {"epochs": 3}}``.

    Raises InvalidInputError for what is no setting; a value that is no TOML is taken for a string.
    """
    name, equals, value = setting.partition("=")
    if not equals or not name.strip():
        raise InvalidInputError(f'"{setting}" is no setting: write name=value, for example schedule.epochs=3')
    for written in (value, msgspec.json.encode(value).decode()):
        try:
            table: Settings = msgspec.toml.decode(f"{name} = {written}")
        except ValueError:
            continue
        return table
    raise InvalidInputError(f'"{setting}" is no setting: "{name}" is no name of a field')


def overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> Settings:
    """Two tables as one: what ``above`` says stands, tables are laid over tables."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = overlaid(merged[name], value) if both else value
    return merged


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as it was carried out, every field with its value, so that ``read_recipe`` gives it back."""
    settings = msgspec.to_builtins(recipe)
    for name in MADE_BY_SAVING:
        del settings["model"][name]
    path.write_bytes(msgspec.toml.encode(_without_none(settings)))


def _read_tables(path: Path) -> Settings:
    try:
        tables: Settings = msgspec.toml.decode(path.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"cannot be read ({error.strerror}): name a recipe in TOML", path=path) from error
    except ValueError as error:
        raise InvalidInputError(f"not TOML ({error}): see docs/training.md", path=path) from error
    return tables


def _shape(preset: str | None, start: Settings) -> Settings:
    """The table that ``[model]`` is laid over: a preset's, a model's own, or what a checkpoint's layers need."""
    if preset is not None:
        if preset not in PRESETS:
            raise ModelError(f'no preset "{preset}": name one of {", ".join(PRESETS)}')
        return {"model": msgspec.to_builtins(PRESETS[preset])}
    if "model" in start:
        config = msgspec.to_builtins(read_config(locate(start["model"]).config))
        # A model that serves the cosine alone gets a head by training on: its missing crossing is left out here.
        return _without_none({"model": {name: config[name] for name in config if name not in MADE_BY_SAVING}})
    if "checkpoint" in start:
        tower = shape_of(start["checkpoint"], len(start.get("layers", ())) or None)
        return {"model": {"tower": tower, "query_tokens": 32, "document_tokens": 128}}
    return {}


TABLES: dict[str, type] = {
    "model": TwinConfig,
    "tower": TowerConfig,
    "query_tower": TowerConfig,
    "crossing": CrossingConfig,
    "start": Start,
    "loss": Loss,
    "schedule": Schedule,
}
"""The class behind each table of a recipe."""


def _require_known(settings: Settings, kind: type, within: str = "") -> None:
    """Raise ModelError for a field that no such table has: a misspelt one must not be passed over."""
    known = {field.name for field in dataclasses.fields(kind)}
    for name, value in settings.items():
        if name not in known:
            raise ModelError(f"no field {within}{name}; there are {', '.join(sorted(known))}")
        if isinstance(value, dict) and name in TABLES:
            _require_known(value, TABLES[name], f"{within}{name}.")


def _without_none(table: Settings) -> Settings:
    """What TOML can hold: fields that are None are left to their defaults."""
    return {
        name: _without_none(value) if isinstance(value, dict) else value
        for name, value in table.items()
        if value is not None
    }
