"""Filters as expressions and as dictionaries: one tree, its precedence, its limits, and what is said of mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import twinbert
from filter_oracle import as_dictionary, nodes
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twinbert.errors import InvalidInputError
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
    parse_filter,
)

A, B, C = (Comparison(Field((name,)), "=", 1) for name in "abc")
WORDS = st.sampled_from(
    ["a", "b.c", "`x y`", "and", "or", "not", "in", "is", "null", "contains", "starts", "with", "true", "=", "!=", "<",
     ">=", "(", ")", ",", ".", '"s"', "'t'", "1", "-2.5e3", "`", '"', "\\", ";", "--", "\n", "ä", "\x00", "\ud800"]
)  # fmt: skip


def check_outcome(filters: object) -> None:
    """A filter is read, and read again from its print, or refused in one line."""
    try:
        node = parse_filter(filters)  # type: ignore[arg-type]
    except InvalidInputError as refused:
        message = str(refused)
    else:
        message = "-"
        assert of_kind(parse_filter(str(node))) == of_kind(node)
    assert len(message.splitlines()) == 1


def of_kind(node: object) -> str:
    """A tree with the types of its values, which 1 == 1.0 == True would hide."""
    return repr(node)


@given(nodes)
@settings(max_examples=100, deadline=None)
def test_a_tree_prints_as_an_expression_that_is_read_back(node: Node) -> None:
    assert of_kind(parse_filter(str(node))) == of_kind(node)


@given(nodes)
@settings(max_examples=100, deadline=None)
def test_a_dictionary_is_read_as_the_same_tree(node: Node) -> None:
    assert of_kind(parse_filter(as_dictionary(node))) == of_kind(node)


@pytest.mark.parametrize(
    ("expression", "node"),
    [
        ("a = 1", A),
        ("a == 1", A),
        ("A=1", Comparison(Field(("A",)), "=", 1)),
        ("a = 1 OR b = 1 And c = 1", Or((A, And((B, C))))),
        ("(a = 1 or b = 1) and c = 1", And((Or((A, B)), C))),
        ("not a = 1 and b = 1", And((Not(A), B))),
        ("not (a = 1 and b = 1)", Not(And((A, B)))),
        ("not not a=1", Not(Not(A))),
        ("((a = 1))", A),
        ("a = 1 and (b = 1 and c = 1)", And((A, And((B, C))))),
        ("a != -2.50", Comparison(Field(("a",)), "!=", -2.5)),
        ("a <= +7", Comparison(Field(("a",)), "<=", 7)),
        ("a > 1e3", Comparison(Field(("a",)), ">", 1000.0)),
        ("a = 'it\\'s'", Comparison(Field(("a",)), "=", "it's")),
        ('a = "\\"\\\\\\n"', Comparison(Field(("a",)), "=", '"\\\n')),
        ("a = 'de\" or b = 1 --'", Comparison(Field(("a",)), "=", 'de" or b = 1 --')),
        ("a.b.`c d`.`in` = true", Comparison(Field(("a", "b", "c d", "in")), "=", True)),
        ("a in ('x', 2, false)", Membership(Field(("a",)), ("x", 2, False))),
        ("a not in (1)", Not(Membership(Field(("a",)), (1,)))),
        ("a is null", IsNull(Field(("a",)))),
        ("a is not null", Not(IsNull(Field(("a",))))),
        ("a contains 'x'", Contains(Field(("a",)), "x")),
        ("a not contains 2", Not(Contains(Field(("a",)), 2))),
        ("a starts with 'x'", StartsWith(Field(("a",)), "x")),
        ("größe.ñ_2 >= 3", Comparison(Field(("größe", "ñ_2")), ">=", 3)),
        ({"a": 1}, A),
        ({"a": 1, "b": {"$eq": 1}}, And((A, B))),
        ({"$or": [{"a": 1}, {"b": 1, "c": 1}]}, Or((A, And((B, C))))),
        ({"$and": [{"a": 1}]}, A),
        ({"$not": {"a": 1}}, Not(A)),
        ({"a": {"$not": {"$eq": 1}}}, Not(A)),
        ({"a": {"$gte": 1, "$lt": 2}}, And((Comparison(Field(("a",)), ">=", 1), Comparison(Field(("a",)), "<", 2)))),
        ({"a": None}, IsNull(Field(("a",)))),
        ({"a": {"$ne": None}}, Not(IsNull(Field(("a",))))),
        ({"a": {"$exists": True}}, Not(IsNull(Field(("a",))))),
        ({"a": {"$exists": False}}, IsNull(Field(("a",)))),
        ({"a": {"$nin": (1, "x")}}, Not(Membership(Field(("a",)), (1, "x")))),
        ({"a.`b.c`.d e": {"$startsWith": "x"}}, StartsWith(Field(("a", "b.c", "d e")), "x")),
        ({"`$a`": {"$contains": 1.5}}, Contains(Field(("$a",)), 1.5)),
    ],
)
def test_what_is_written_is_what_is_meant(expression: object, node: Node) -> None:
    assert of_kind(parse_filter(expression)) == of_kind(node)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "column 1: expected a field, not or (, found the end"),
        (
            "lang",
            "column 5: expected an operator (= != < <= > >=), in, not in, contains, starts with or is null",
        ),
        ("lang = de", "column 8: expected a value: a string in quotes, a number, true or false, found 'de'"),
        ("lang =", "column 7: expected a value: a string in quotes, a number, true or false, found the end"),
        ("lang = null", "column 8: expected a value: write is null or is not null, found 'null'"),
        ('lang = "de', 'column 8: expected " at the end of what begins here'),
        ("`a = 1", "column 1: expected ` at the end of what begins here"),
        ('a = "\\x"', r"column 6: expected one of \\ \" \' \n \r \t, not '\\x'"),
        ("a = 1 b = 2", "column 7: expected and, or, or the end, found 'b'"),
        ("(a = 1", "column 7: expected and, or, or ), found the end"),
        ("a = 1)", "column 6: expected and, or, or the end, found ')'"),
        ("a = 1 and", "column 10: expected a field, not or (, found the end"),
        ("in = 1", "column 1: expected a field, not or (, found 'in': quote a name that is a keyword as `name`"),
        ("a. = 1", "column 4: expected a field name after the dot, found '='"),
        ("a in ()", "column 7: expected a value: a string in quotes"),
        ("a in (1 2)", "column 9: expected , or ), found '2'"),
        ("a in (null)", "column 7: expected a value: write is null"),
        ("a not = 1", "column 7: expected in, contains or starts with, found '='"),
        ("a is 1", "column 6: expected null or not null, found '1'"),
        ("a is not 1", "column 10: expected null, found '1'"),
        ("a starts 'x'", "column 10: expected with"),
        ("a starts with 1", "column 15: expected a string in quotes, found '1'"),
        ("a = 1.2.3", "column 5: expected a number such as 7, -0.5 or 1e9"),
        ("a = 12ab", "column 5: expected a number such as 7"),
        ("a = 1; DROP TABLE documents", "column 6: expected a field, a value, an operator or a parenthesis, not ';'"),
        ("a = ?", "column 5: expected a field, a value, an operator or a parenthesis, not '?'"),
        ("a < true", "< true: a boolean is only equal or not"),
        ("a = 9223372036854775808", "more than 64 bits"),
        ("a = " + "9" * 5_000, "more than 64 bits"),
        ("a = 1e999", "inf is no number that documents can hold"),
        ("a = '\0'", "a string of the filter holds a NUL character"),
        ('`a"b` = 1', "the field name 'a\"b' holds a quote, a backslash, a backquote or a control character"),
        ("`a\nb` = 1", "the field name 'a\\nb' holds a quote"),
        ("`` = 1", "a field name is empty"),
        (f"`{'a' * 1001}` = 1", "a field name is longer than 1000 characters"),
        ({}, 'an empty object: expected a field, as in {"lang": "de"}'),
        ({"a": {}}, 'an empty object: expected operators for a, as in {"$gte": 2020}'),
        ({"a": [1]}, 'a is given a list: write {"$in": […]} or {"$contains": …}'),
        ({"a": {"b": 1}}, "a holds 'b', which is no operator: put a dot between names"),
        ({"a": {"$regex": "x"}}, "'$regex' of a is no operator: use one of $eq $ne"),
        ({"$nor": []}, "'$nor' is no field"),
        ({"$or": []}, "$or takes a list of one entry at least"),
        ({"$or": {"a": 1}}, "$or takes a list of one entry at least"),
        ({"$and": [1]}, "expected an object of fields, not a number"),
        ({"a": {"$in": []}}, "$in takes a list of one entry at least"),
        ({"a": {"$in": [None]}}, "cannot compare with null"),
        ({"a": {"$lt": None}}, "cannot compare with null"),
        ({"a": {"$gt": False}}, "> false: a boolean is only equal or not"),
        ({"a": float("nan")}, "nan is no number"),
        ({"a": object()}, "cannot compare with a object"),
        ({"a": {"$exists": 1}}, "$exists of a takes True or False, not a number"),
        ({"a": {"$startsWith": 1}}, "$startsWith of a takes a string, not a number"),
        ({"a": {"$not": 1}}, "$not of a takes an object of operators"),
        ({"a": "\ud800"}, "a string of the filter holds a lone surrogate"),
        ({"a`b": 1}, "the key 'a`b' has a stray backquote"),
        ({"a..b": 1}, "a field name is empty"),
        ({"": 1}, "a field name is empty"),
        ({"a.": 1}, "a field name is empty"),
        ({1: 1}, "a key of the filter must be a string, not a number"),
        (7, "filter must be an expression or a dictionary, not a number"),
    ],
)
def test_a_mistake_is_named(expression: object, message: str) -> None:
    with pytest.raises(InvalidInputError) as raised:
        parse_filter(expression)  # type: ignore[arg-type]
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def nested(depth: int) -> dict[str, object]:
    entries: dict[str, object] = {"a": 1}
    for _ in range(depth - 1):
        entries = {"$not": entries}
    return entries


def endless() -> dict[str, object]:
    entries: dict[str, object] = {}
    entries["$and"] = [entries, entries]
    return entries


@pytest.mark.parametrize(
    ("within", "beyond", "message"),
    [
        ("(" * 31 + "a = 1" + ")" * 31, "(" * 50_000, "nested deeper than 32 levels"),
        ("not " * 31 + "a = 1", "not " * 20_000 + "a = 1", "nested deeper than 32 levels"),
        (nested(32), nested(33), "nested deeper than 32 levels"),
        ({"a": 1}, endless(), "nested deeper than 32 levels"),
        (" or ".join(["a = 1"] * 256), " or ".join(["a = 1"] * 257), "more than 256 conditions"),
        ({"$or": [{"a": 1}] * 256}, {"$or": [{"a": 1}] * 257}, "more than 256 conditions"),
        (f"a in ({','.join(['1'] * 10_000)})", f"a in ({','.join(['1'] * 10_001)})", "more than 10000 values"),
        ({"a": {"$in": [1] * 10_000}}, {"a": {"$in": [1] * 10_001}}, "more than 10000 values"),
        (f"a = '{'x' * 99_994}'", f"a = '{'x' * 99_995}'", "longer than 100000 characters"),
    ],
)
def test_there_may_be_so_much_and_no_more(within: object, beyond: object, message: str) -> None:
    parse_filter(within)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=message):
        parse_filter(beyond)  # type: ignore[arg-type]


@given(st.text() | st.lists(WORDS, max_size=14).map(" ".join) | st.lists(WORDS, max_size=14).map("".join))
@example('"' * 99_999)
@example("'\\" * 49_999)
@example("a.1" + "0" * 90_000)
@example("`" * 99_999)
@settings(max_examples=300, deadline=2_000)
def test_any_text_is_a_filter_or_one_error(text: str) -> None:
    check_outcome(text)


KEYS = st.sampled_from(["$and", "$or", "$not", "$in", "$eq", "$lt", "$exists", "a", "a.b"]) | st.text(max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, JSON, max_size=3))
@settings(max_examples=200, deadline=2_000)
def test_any_dictionary_is_a_filter_or_one_error(entries: dict[str, object]) -> None:
    check_outcome(entries)


def test_the_documented_expressions_are_read() -> None:
    text = (Path(twinbert.__file__).parent / "docs" / "filters.md").read_text(encoding="utf-8")
    (expressions,) = re.findall(r"```filter\n(.*?)```", text, flags=re.DOTALL)
    for expression in expressions.splitlines():
        check_outcome(expression)
        assert parse_filter(expression)
