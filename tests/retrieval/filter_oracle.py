"""Random metadata and filters, and what a filter means, said again over dictionaries: the oracle of SQL and parsers."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from hypothesis import strategies as st
from twinbert.retrieval.filters import (
    And,
    Comparison,
    Contains,
    Field,
    IsNull,
    Membership,
    Node,
    Not,
    Or,
    StartsWith,
)

COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MISSING = object()

names = st.sampled_from(["a", "b", "lang", "title", "A", "ä", "is", "it's", "a.b", "$a", "two words", "#", "[0]", "*"])
few_texts = st.sampled_from(
    ["", "a", "b", "de", "DE", "5", "true", "null", "it's", '"', "\\", "a%_*", "ä", "\U0001f600"]
)
texts = few_texts | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
wholes = st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1)
reals = st.sampled_from([0.0, -0.0, 1.0, 0.1, 2.5, 5e-324, 1e300, 2.0**53]) | st.floats(
    allow_nan=False, allow_infinity=False
)
values = texts | wholes | reals | st.booleans()
huge = st.sampled_from([2**63, 2**64, -(2**63) - 1, 10**400, -(10**400)])
entries = st.recursive(
    values | st.none() | huge,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)
metadata = st.dictionaries(names, entries, max_size=5)

fields = st.lists(names, min_size=1, max_size=2).map(lambda path: Field(tuple(path)))


def _conditions() -> st.SearchStrategy[Node]:
    ordered = st.builds(Comparison, fields, st.sampled_from(list(COMPARE)), texts | wholes | reals)
    boolean = st.builds(Comparison, fields, st.sampled_from(["=", "!="]), st.booleans())
    among = st.builds(Membership, fields, st.lists(values, min_size=1, max_size=4).map(tuple))
    contains = st.builds(Contains, fields, values)
    starts = st.builds(StartsWith, fields, texts | st.sampled_from(["\U0010ffff", "a\U0010ffff", "\ud7ff"]))
    return ordered | boolean | among | contains | starts | st.builds(IsNull, fields)


def _compound(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(Not, inner) | st.builds(And, several) | st.builds(Or, several)


nodes: st.SearchStrategy[Node] = st.recursive(_conditions(), _compound, max_leaves=6)


def matches(node: Node, title: str, text: str, metadata: Mapping[str, object]) -> bool:
    """Whether a document matches."""
    return _truth(node, {"metadata": metadata, "title": title, "text": text}) is True


def _truth(node: Node, document: Mapping[str, object]) -> bool | None:
    if isinstance(node, Not):
        inner = _truth(node.term, document)
        return None if inner is None else not inner
    if isinstance(node, (And, Or)):
        deciding = isinstance(node, Or)
        truths = [_truth(term, document) for term in node.terms]
        if deciding in truths:
            return deciding
        return None if None in truths else not deciding
    return _condition(node, _found(node.field, document))


def _condition(node: Node, value: object) -> bool | None:
    if isinstance(node, IsNull):
        return value is None or value is MISSING
    if isinstance(node, Comparison):
        return COMPARE[node.operator](value, node.value) if _kind(value) == _kind(node.value) else None
    if isinstance(node, Membership):
        alike = [entry for entry in node.values if _kind(entry) == _kind(value)]
        return value in alike if alike else None
    if isinstance(node, Contains):
        if not isinstance(value, list):
            return None
        return any(_kind(entry) == _kind(node.value) and _number(entry) == node.value for entry in value)
    if isinstance(node, StartsWith):
        return value.startswith(node.prefix) if isinstance(value, str) else None
    raise TypeError(node)


def _found(field: Field, document: Mapping[str, object]) -> object:
    value: object = document if field.path[0] in ("title", "text") else document["metadata"]
    for name in field.path:
        if not isinstance(value, Mapping) or name not in value:
            return MISSING
        value = value[name]
    return _number(value)


def _number(value: object) -> object:
    """Whole numbers beyond 64 bits count as the nearest double, infinity in the end."""
    if type(value) is not int or -(2**63) <= value < 2**63:
        return value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else None


def as_dictionary(node: Node) -> dict[str, object]:
    """A filter in the dictionary's form."""
    if isinstance(node, Not):
        return {"$not": as_dictionary(node.term)}
    if isinstance(node, (And, Or)):
        return {"$and" if isinstance(node, And) else "$or": [as_dictionary(term) for term in node.terms]}
    return {".".join(f"`{name}`" for name in node.field.path): _operators(node)}


def _operators(node: Node) -> object:
    if isinstance(node, Comparison):
        words = {"=": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}
        return {words[node.operator]: node.value}
    if isinstance(node, Membership):
        return {"$in": list(node.values)}
    if isinstance(node, Contains):
        return {"$contains": node.value}
    return {"$startsWith": node.prefix} if isinstance(node, StartsWith) else None
