"""Filters on metadata: written as an expression or a dictionary, read into one tree, compiled to parameterised SQL."""

from __future__ import annotations

from collections.abc import Mapping

from ...errors import InvalidInputError
from ..checks import described
from .mapping import parse_mapping
from .nodes import And, Comparison, Contains, Field, IsNull, Membership, Node, Not, Or, StartsWith
from .parser import parse_expression
from .sql import condition_of, names_of, paths_of

__all__ = [
    "And",
    "Comparison",
    "Contains",
    "Field",
    "IsNull",
    "Membership",
    "Node",
    "Not",
    "Or",
    "StartsWith",
    "condition_of",
    "names_of",
    "parse_filter",
    "paths_of",
]


def parse_filter(filters: str | Mapping[str, object]) -> Node:
    """The tree of a filter in either form: see ``parser`` for expressions, ``mapping`` for dictionaries.

    Raises InvalidInputError, in one line, for what is no filter.
    """
    if isinstance(filters, str):
        return parse_expression(filters)
    if isinstance(filters, Mapping):
        return parse_mapping(filters)
    raise InvalidInputError(f"filter must be an expression or a dictionary, not {described(filters)}")
