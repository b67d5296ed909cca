"""Compiles a filter's tree to a condition on stored payloads: values bound, paths checked and quoted.

``not`` is pushed down to the conditions first (De Morgan holds in three-valued logic), and each condition is written so
that it is true exactly where it, or its ``not``, is. What is unknown is then never true, and no NULL can slip through.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

import msgspec

from ...errors import InvalidInputError
from ...index import Condition, entries_at, kind_at, value_at
from .nodes import And, Comparison, Contains, Field, IsNull, Membership, Node, Not, Or, StartsWith, Value
from .parser import parse_field

_OWN = ("title", "text")
"""Names that mean the document's own; all others are its metadata's."""
_METADATA = "metadata"
_NAME = re.compile('"([^"]*)"')
_NEGATED = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_NUMBER = "IN ('integer', 'real')"
_TEXT = "= 'text'"
_NOTHING = "= 'null'"
_SOMETHING = "IN ('text', 'integer', 'real', 'true', 'false', 'array', 'object')"
_AMONG = "IN (SELECT value FROM json_each(?))"


def condition_of(node: Node) -> Condition:
    """The condition that is true for exactly the documents that match."""
    return _compiled(node, negated=False)


def paths_of(names: Iterable[str]) -> tuple[str, ...]:
    """Where the fields of these names, written as in an expression, stand in a payload.

    Raises InvalidInputError for what is no field.
    """
    if isinstance(names, str):
        raise InvalidInputError(f"fields must be a list, not one string: use [{names!r}]")
    return tuple(dict.fromkeys(_path(parse_field(name)) for name in names))


def names_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The fields at places that ``paths_of`` gave, as an expression names them."""
    fields = (Field(tuple(_NAME.findall(path))) for path in paths)
    return tuple(str(Field(field.path[1:]) if field.path[0] == _METADATA else field) for field in fields)


def _compiled(node: Node, *, negated: bool) -> Condition:
    if isinstance(node, Not):
        return _compiled(node.term, negated=not negated)
    if isinstance(node, (And, Or)):
        joint = " AND " if isinstance(node, And) != negated else " OR "
        terms = [_compiled(term, negated=negated) for term in node.terms]
        return Condition(f"({joint.join(term.sql for term in terms)})", tuple(v for term in terms for v in term.values))
    if isinstance(node, Comparison):
        return _comparison(node, negated)
    if isinstance(node, Membership):
        return _membership(node, negated)
    if isinstance(node, Contains):
        return _contains(node, negated)
    return _starts_with(node, negated) if isinstance(node, StartsWith) else _is_null(node, negated)


def _comparison(node: Comparison, negated: bool) -> Condition:
    kind, value = _places(node.field)
    operator = _NEGATED[node.operator] if negated else node.operator
    if isinstance(node.value, bool):
        return Condition(f"{kind} = '{str(node.value == (operator == '=')).lower()}'")
    return Condition(f"({kind} {_kind(node.value)} AND {value} {operator} ?)", (node.value,))


def _membership(node: Membership, negated: bool) -> Condition:
    kind, value = _places(node.field)
    booleans = {entry for entry in node.values if isinstance(entry, bool)}
    if booleans and negated:
        booleans = {True, False} - booleans
    terms = [Condition(f"{kind} = '{str(entry).lower()}'") for entry in sorted(booleans)]
    for of_kind in (_TEXT, _NUMBER):
        values = [entry for entry in node.values if not isinstance(entry, bool) and _kind(entry) == of_kind]
        if values:
            among = f"{value} {'NOT ' if negated else ''}{_AMONG}"
            terms.append(Condition(f"({kind} {of_kind} AND {among})", (msgspec.json.encode(values).decode(),)))
    if not terms:
        return Condition("FALSE")
    return Condition(f"({' OR '.join(term.sql for term in terms)})", tuple(v for term in terms for v in term.values))


def _contains(node: Contains, negated: bool) -> Condition:
    kind, _ = _places(node.field)
    if isinstance(node.value, bool):
        entry = Condition(f"entry.type = '{str(node.value).lower()}'")
    else:
        entry = Condition(f"entry.type {_kind(node.value)} AND entry.value = ?", (node.value,))
    # Nothing here is a caller's own text: names are quoted by entries_at, the value is bound.
    found = f"EXISTS (SELECT 1 FROM {entries_at(_path(node.field))} AS entry WHERE {entry.sql})"  # noqa: S608
    return Condition(f"({kind} = 'array' AND {'NOT ' if negated else ''}{found})", entry.values)


def _starts_with(node: StartsWith, negated: bool) -> Condition:
    """As a range, which an index on the field answers: from the prefix to the first string after all that have it."""
    kind, value = _places(node.field)
    end = _after(node.prefix)
    if end is None:
        return Condition(f"({kind} {_TEXT} AND {value} {'<' if negated else '>='} ?)", (node.prefix,))
    inside = f"{value} < ? OR {value} >= ?" if negated else f"{value} >= ? AND {value} < ?"
    return Condition(f"({kind} {_TEXT} AND ({inside}))", (node.prefix, end))


def _is_null(node: IsNull, negated: bool) -> Condition:
    kind, _ = _places(node.field)
    return Condition(f"{kind} {_SOMETHING if negated else _NOTHING}")


def _after(prefix: str) -> str | None:
    """The first string, by code point, after all that start with ``prefix``; None where there is none."""
    kept = prefix.rstrip(chr(sys.maxunicode))
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if 0xD800 <= following < 0xE000 else following)


def _kind(value: Value) -> str:
    return _TEXT if isinstance(value, str) else _NUMBER


def _places(field: Field) -> tuple[str, str]:
    path = _path(field)
    return kind_at(path), value_at(path)


def _path(field: Field) -> str:
    names = field.path if field.path[0] in _OWN else (_METADATA, *field.path)
    return "$" + "".join(f'."{name}"' for name in names)
