"""A filter as a tree: what both ways of writing one become, and what prints back as an expression.

Every condition on a field is true, false or unknown, as in SQL; ``and``, ``or`` and ``not`` go by Kleene's tables, so
``not`` of unknown is unknown, and only documents for which the whole is true match.

===================== ============================== ===================================== ====================
condition             true                           false                                 unknown otherwise
===================== ============================== ===================================== ====================
``= != < <= > >=``    the field has the value's      it has that kind, and does not        missing, null, or of
                      kind, and compares so          compare so                            another kind
``in``                it equals one of the values    it has the kind of one of them, and   missing, null, or of
                      of its own kind                equals none                           another kind
``contains``          it is an array with an element it is another array                   no array
                      of this kind and value
``starts with``       it is a string that does       it is another string                  no string
``is null``           it is missing or null          it is anything else                   never
===================== ============================== ===================================== ====================

Kinds are string, number and boolean: 1 equals 1.0 and neither ``"1"`` nor ``true``. Strings compare by code point,
case and accents as they stand, so dates written as ISO 8601 come in their order. Numbers compare exactly; whole ones
beyond 64 bits in the documents count as the double nearest to them. Booleans are equal or not, never less.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = str | int | float | bool
"""A string, a finite number (whole ones within 64 bits) or a boolean."""

KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null", "contains", "starts", "with", "true", "false"})
OPERATORS = ("=", "!=", "<", "<=", ">", ">=")
_BARE = re.compile(r"[^\W\d]\w*")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a document; ``("author", "name")`` is ``name`` inside the object ``author``."""

    path: tuple[str, ...]

    def __str__(self) -> str:
        return ".".join(_written_name(name) for name in self.path)


@dataclass(frozen=True, slots=True)
class Comparison:
    """``field operator value``; the operator is one of ``OPERATORS``."""

    field: Field
    operator: str
    value: Value

    def __str__(self) -> str:
        return f"{self.field} {self.operator} {_written(self.value)}"


@dataclass(frozen=True, slots=True)
class Membership:
    """``field in (values)``, one value at least."""

    field: Field
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{self.field} in ({', '.join(_written(value) for value in self.values)})"


@dataclass(frozen=True, slots=True)
class Contains:
    """``field contains value``, for arrays."""

    field: Field
    value: Value

    def __str__(self) -> str:
        return f"{self.field} contains {_written(self.value)}"


@dataclass(frozen=True, slots=True)
class StartsWith:
    """``field starts with prefix``, for strings."""

    field: Field
    prefix: str

    def __str__(self) -> str:
        return f"{self.field} starts with {_written(self.prefix)}"


@dataclass(frozen=True, slots=True)
class IsNull:
    """``field is null``: missing, or null."""

    field: Field

    def __str__(self) -> str:
        return f"{self.field} is null"


@dataclass(frozen=True, slots=True)
class Not:
    """``not term``."""

    term: Node

    def __str__(self) -> str:
        return f"not {_grouped(self.term)}"


@dataclass(frozen=True, slots=True)
class And:
    """``term and term …``, two terms at least."""

    terms: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(_grouped(term) for term in self.terms)


@dataclass(frozen=True, slots=True)
class Or:
    """``term or term …``, two terms at least."""

    terms: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(_grouped(term) for term in self.terms)


Condition: TypeAlias = Comparison | Membership | Contains | StartsWith | IsNull
Node: TypeAlias = Condition | Not | And | Or


def _grouped(node: Node) -> str:
    return f"({node})" if isinstance(node, (And, Or)) else str(node)


def _written_name(name: str) -> str:
    if _BARE.fullmatch(name) and name.lower() not in KEYWORDS:
        return name
    return f"`{name}`"


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else repr(value)
