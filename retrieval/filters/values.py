"""What both ways of writing a filter check alike: names of fields, values, and how much there may be of everything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from ...errors import InvalidInputError
from ..checks import check_text, described
from .nodes import Field, Value

MAX_LENGTH = 100_000
"""Characters of an expression."""
MAX_DEPTH = 32
"""Levels of parentheses, ``not`` and nested objects."""
MAX_CONDITIONS = 256
MAX_VALUES = 10_000
"""Values in all lists together."""
MAX_NAME = 1_000
"""Characters of a field's names together."""
_UNQUOTABLE = re.compile('["\\\\`\x00-\x1f\x7f-\x9f\u2028\u2029]')
_WHOLE = range(-(2**63), 2**63)


class Budget:
    """Counts what a filter is made of; raises InvalidInputError once it is too much."""

    def __init__(self) -> None:
        self._conditions = self._values = self._depth = 0

    def condition(self) -> None:
        """One more condition."""
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise InvalidInputError(f"filter: more than {MAX_CONDITIONS} conditions: use in (…) for many values")

    def value(self) -> None:
        """One more value of a list."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise InvalidInputError(f"filter: more than {MAX_VALUES} values in lists: ask in several searches")

    def enter(self) -> None:
        """One level deeper."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InvalidInputError(f"filter: nested deeper than {MAX_DEPTH} levels: write it flatter")

    def leave(self) -> None:
        """One level up again."""
        self._depth -= 1


def field_of(names: Iterable[str]) -> Field:
    """The field of these names, outermost first.

    Raises InvalidInputError for an empty name, and for characters that no path to a field can quote: ``"``, a
    backslash, a backquote, control characters and line separators.
    """
    path = tuple(check_text(name, "a field name of the filter") for name in names)
    if sum(map(len, path)) > MAX_NAME:
        raise InvalidInputError(f"filter: a field name is longer than {MAX_NAME} characters")
    for name in path:
        if not name:
            raise InvalidInputError("filter: a field name is empty: write the name, with dots between nested ones")
        if _UNQUOTABLE.search(name):
            raise InvalidInputError(
                f"filter: the field name {name[:80]!r} holds a quote, a backslash, a backquote or a control "
                "character: rename the field to filter by it"
            )
    return Field(path)


def check_value(value: object) -> Value:
    """Give ``value`` back when a field can be compared with it; raises InvalidInputError otherwise."""
    if type(value) is str:
        return check_text(value, "a string of the filter")
    if type(value) is bool:
        return value
    if type(value) is int:
        if value not in _WHOLE:
            raise InvalidInputError("filter: a whole number has more than 64 bits: keep such numbers as strings")
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise InvalidInputError(f"filter: {value} is no number that documents can hold: use a finite one")
        return value
    raise InvalidInputError(f"filter: cannot compare with {described(value)}: use a string, a number or a boolean")


def check_ordered(value: Value, operator: str) -> None:
    """Raise InvalidInputError where the operator asks for an order that the value's kind has not."""
    if isinstance(value, bool) and operator not in ("=", "!="):
        raise InvalidInputError(f"filter: {operator} {str(value).lower()}: a boolean is only equal or not")
