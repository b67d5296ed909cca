"""How an int8 tower is made: recipes by name, and what an export may be told."""

from __future__ import annotations

from dataclasses import dataclass

from ....errors import ModelError

AUTO = "auto"
"""The cheapest recipe that keeps enough neighbours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Recipe:
    """One way from fp32 to int8.

    calibrated: shift and smooth activations, and round weights by GPTQ, after calibration texts; else round both to
    the nearest, which is what training with quantisation in the loop gets used to.
    two_part: kinds of products whose activations are rounded twice, the second time what the first left over.
    """

    name: str
    calibrated: bool = True
    two_part: tuple[str, ...] = ()


RECIPES: tuple[Int8Recipe, ...] = (
    Int8Recipe(name="plain", calibrated=False),
    Int8Recipe(name="smooth"),
    Int8Recipe(name="two-part-qkv", two_part=("qkv",)),
    Int8Recipe(name="two-part-qkv-down", two_part=("qkv", "down")),
    Int8Recipe(name="two-part", two_part=("qkv", "attention_output", "up", "down", "widen", "project", "skip_project")),
)
"""Cheapest first (docs/decisions/0008)."""
UNMEASURED = "two-part-qkv"
"""The recipe of an export that was given no texts to choose by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Options:
    """What an int8 export is told.

    recipe: a recipe's name, or ``auto``.
    table: the token table ``int8``, in 8 bits with a scale a row, or ``int4``, with a scale for
    every 32 numbers.
    query_bound: least share of the fp32 model's nearest documents that int8 queries find among fp32 documents.
    document_bound: the same with int8 on both sides.
    accept_loss: export even below the bounds.
    """

    recipe: str = AUTO
    table: str = "int8"
    query_bound: float = 0.98
    document_bound: float = 0.97
    accept_loss: bool = False

    def __post_init__(self) -> None:
        names = [AUTO, *(recipe.name for recipe in RECIPES)]
        if self.recipe not in names:
            raise ModelError(f"no int8 recipe {self.recipe}: name one of {', '.join(names)}")

    def candidates(self, *, measured: bool) -> tuple[Int8Recipe, ...]:
        """The recipes to try, cheapest first."""
        if self.recipe == AUTO and measured:
            return RECIPES
        name = UNMEASURED if self.recipe == AUTO else self.recipe
        return tuple(recipe for recipe in RECIPES if recipe.name == name)
