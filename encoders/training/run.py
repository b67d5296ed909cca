"""One training run from files to a model folder."""

from __future__ import annotations

import json
from pathlib import Path

from ...errors import ModelError
from ..folder import ModelFolder
from .card import CardFacts, write_card
from .distill import Inputs, distill
from .quantisation.recipe import Int8Options
from .recipe import Recipe, write_recipe
from .saving import save
from .trainer import Report

__all__ = ["Inputs", "run"]


def run(
    inputs: Inputs, recipe: Recipe, target: Path, *, resume: bool = False, report: Report | None = None
) -> ModelFolder:
    """Distil by a recipe, save the model with all that serving needs; recipe, figures and a card are kept beside it.

    report: told what is being done, how much of it is done, and how much there is.

    Raises InvalidInputError for pairs that cannot be taken, ModelError for a teacher or a start that does not fit and
    for a target that is not empty.
    """
    require_free(target)
    trained = distill(inputs, recipe, resume=resume, report=report)
    folder = ModelFolder(target)
    # Weights that learnt plain rounding must not be smoothed and rounded otherwise.
    options = Int8Options(recipe="plain") if recipe.loss.quantised else None
    save(trained.student, folder, trained.vocabulary if folder_needs_vocabulary(recipe) else None, options)
    write_recipe(recipe, folder.root / "recipe.toml")
    write_figures(trained.figures, folder.root / "training.json")
    write_card(folder, CardFacts(name=target.name, origin=_origin(recipe, inputs)))
    return folder


def _origin(recipe: Recipe, inputs: Inputs) -> str:
    """What the card says of where the weights come from."""
    start, taught = recipe.start, f", taught the vectors of {inputs.teacher.name}" if inputs.teacher else ""
    named = start.model or start.checkpoint
    begun = (
        f"Started from {Path(named).name if Path(named).exists() else named}"
        if named
        else "Started from random weights"
    )
    if start.fitted:
        begun = "Started from layers of its teacher, the rest fitted in closed form"
    return f"{begun}, trained on the pairs of {inputs.pairs.name}{taught}."


def require_free(target: Path) -> None:
    """Raise ModelError unless a model can be written there."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} is not empty: name a new folder for the model")


def folder_needs_vocabulary(recipe: Recipe) -> bool:
    """Whether a side of the model reads WordPiece."""
    return "wordpiece" in (recipe.model.tower_of("query").tokenizer, recipe.model.tower.tokenizer)


def write_figures(figures: dict[str, object], path: Path) -> None:
    """Write what came of a run."""
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
