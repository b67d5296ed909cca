"""One training run from files to a model folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from ...errors import ModelError
from ..folder import ModelFolder
from .distill import Inputs, distill
from .recipe import read_recipe
from .saving import save

__all__ = ["Inputs", "run"]


def run(
    inputs: Inputs,
    recipe: Path,
    target: Path,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ModelFolder:
    """Distil by a recipe, save the model with everything that serving needs, keep the recipe beside it.

    progress: told (done, total) while the teacher encodes.

    Raises InvalidInputError for a recipe or pairs that cannot be taken, ModelError for a teacher that does not fit and
    for a target that is not empty.
    """
    if target.exists() and any(target.iterdir()):
        raise ModelError(f"{target} is not empty: name a new folder for the model")
    read = read_recipe(recipe)
    student = distill(inputs, read, resume=resume, progress=progress)
    wordpiece = read.model.tower.tokenizer == "wordpiece" and inputs.teacher is not None
    folder = ModelFolder(target)
    save(student, folder, inputs.teacher / "tokenizer.json" if wordpiece and inputs.teacher else None)
    shutil.copyfile(recipe, target / "recipe.toml")
    return folder
