"""Reads a filter written as a dictionary, in the convention of MongoDB's queries.

::

    {"lang": "de", "year": {"$gte": 2020}}                        both
    {"$or": [{"lang": "de"}, {"$not": {"tags": {"$contains": "old"}}}]}
    {"author.name": {"$in": ["Ada", "Grace"]}, "until": None}     None: missing or null

A key is a field, with dots between nested names (a name in backquotes may hold dots itself), ``$and`` or ``$or`` (lists
of filters), or ``$not`` (a filter). A field's entry is a value, or operators that must all hold: ``$eq $ne $lt $lte $gt
$gte $in $nin $contains $startsWith $exists`` (False: missing or null) and ``$not``. Unknown stays unknown as in an
expression: ``$ne`` and ``$nin`` match no document that lacks the field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from ...errors import InvalidInputError
from ..checks import check_text, described
from .nodes import And, Comparison, Contains, Field, IsNull, Membership, Node, Not, Or, StartsWith, Value
from .values import MAX_LENGTH, Budget, check_ordered, check_value, field_of

_COMPARISONS = {"$eq": "=", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">="}
_NAME = re.compile(r"(?:`([^`]*)`|([^.`]*))(?:\.|$)")


def parse_mapping(filters: Mapping[str, object]) -> Node:
    """The tree of a dictionary; raises InvalidInputError naming the key that cannot be taken."""
    return _Reader().filter(filters)


class _Reader:
    def __init__(self) -> None:
        self._budget = Budget()

    def filter(self, entries: object) -> Node:
        if not isinstance(entries, Mapping):
            raise InvalidInputError(f"filter: expected an object of fields, not {described(entries)}")
        return self._all(entries, self._entry, 'expected a field, as in {"lang": "de"}')

    def _all(self, entries: Mapping[str, object], read: Callable[[str, object], Node], expected: str) -> Node:
        if not entries:
            raise InvalidInputError(f"filter: an empty object: {expected}")
        self._budget.enter()
        terms = tuple(read(check_text(key, "a key of the filter"), entry) for key, entry in entries.items())
        self._budget.leave()
        return terms[0] if len(terms) == 1 else And(terms)

    def _entry(self, key: str, entry: object) -> Node:
        if key == "$not":
            return Not(self.filter(entry))
        if key in ("$and", "$or"):
            terms = tuple(self.filter(term) for term in self._list(key, entry))
            return terms[0] if len(terms) == 1 else And(terms) if key == "$and" else Or(terms)
        if key.startswith("$"):
            raise InvalidInputError(f"filter: {key[:80]!r} is no field: use $and, $or, $not, or `…` around a name")
        return self._field(_field(key), entry)

    def _field(self, field: Field, entry: object) -> Node:
        if isinstance(entry, Mapping):
            expected = f'expected operators for {field}, as in {{"$gte": 2020}}'
            return self._all(entry, lambda key, value: self._operator(field, key, value), expected)
        if isinstance(entry, (list, tuple)):
            raise InvalidInputError(f'filter: {field} is given a list: write {{"$in": […]}} or {{"$contains": …}}')
        return self._compared(field, "=", entry)

    def _operator(self, field: Field, key: str, value: object) -> Node:
        if key in _COMPARISONS:
            return self._compared(field, _COMPARISONS[key], value)
        if key == "$not":
            if not isinstance(value, Mapping):
                raise InvalidInputError(f"filter: $not of {field} takes an object of operators: use $ne for a value")
            return Not(self._field(field, value))
        self._budget.condition()
        if key in ("$in", "$nin"):
            node = Membership(field, tuple(self._values(key, value)))
            return node if key == "$in" else Not(node)
        if key == "$contains":
            return Contains(field, check_value(value))
        if key == "$startsWith" and isinstance(value, str):
            return StartsWith(field, check_text(value, "a string of the filter"))
        if key == "$exists" and isinstance(value, bool):
            return Not(IsNull(field)) if value else IsNull(field)
        raise _no_operator(field, key, value)

    def _compared(self, field: Field, operator: str, value: object) -> Node:
        self._budget.condition()
        if value is None and operator in ("=", "!="):
            return IsNull(field) if operator == "=" else Not(IsNull(field))
        checked = check_value(value)
        check_ordered(checked, operator)
        return Comparison(field, operator, checked)

    def _values(self, key: str, value: object) -> Iterator[Value]:
        for entry in self._list(key, value):
            self._budget.value()
            yield check_value(entry)

    def _list(self, key: str, value: object) -> list[object] | tuple[object, ...]:
        if not isinstance(value, (list, tuple)) or not value:
            raise InvalidInputError(f"filter: {key} takes a list of one entry at least")
        return value


def _field(key: str) -> Field:
    """``author.name`` or ``author.`odd.name```: names between dots, those in backquotes as they stand."""
    if len(key) > MAX_LENGTH:
        raise InvalidInputError(f"filter: a key of more than {MAX_LENGTH} characters")
    names, place = [], 0
    while place <= len(key):
        found = _NAME.match(key, place)
        if found is None:
            raise InvalidInputError(f"filter: the key {key[:80]!r} has a stray backquote: put whole names between two")
        names.append(found[1] if found[1] is not None else found[2])
        if found.end() == len(key) and not found[0].endswith("."):
            break
        place = found.end()
    return field_of(names)


def _no_operator(field: Field, key: str, value: object) -> InvalidInputError:
    if key in ("$startsWith", "$exists"):
        wanted = "a string" if key == "$startsWith" else "True or False"
        return InvalidInputError(f"filter: {key} of {field} takes {wanted}, not {described(value)}")
    if not key.startswith("$"):
        return InvalidInputError(f"filter: {field} holds {key[:80]!r}, which is no operator: put a dot between names")
    known = " ".join([*_COMPARISONS, "$in", "$nin", "$contains", "$startsWith", "$exists", "$not"])
    return InvalidInputError(f"filter: {key[:80]!r} of {field} is no operator: use one of {known}")
