"""Weights on the command line, as ``lexical=0.05,segments=0.3``: those that are left out stay the model's own."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from .usage import UsageError

if TYPE_CHECKING:
    from ..encoders import Weights


def parse_weights(text: str | None, base: Weights) -> Weights | None:
    """The weights of ``base`` with those that ``text`` names in their place; None where there is no text.

    Raises UsageError for a name that is none, and for what is no number.
    """
    if text is None:
        return None
    names = [field.name for field in fields(base)]
    given: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in names or name in given:
            raise UsageError(f"weights: {part.strip()!r} names none of {', '.join(names)}, or one twice")
        try:
            given[name] = float(value)
        except ValueError:
            raise UsageError(f"weights: {part.strip()!r} is no number: write it like {name}=0.05") from None
    return replace(base, **given)
