"""What a filter's SQL matches is what it means: against an oracle over dictionaries, in SQLite itself."""

from __future__ import annotations

import apsw
import pytest
from filter_oracle import entries, matches, metadata, nodes, texts
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.errors import InvalidInputError
from twinbert.index import Condition, kind_at
from twinbert.retrieval import Document
from twinbert.retrieval.filters import Comparison, Field, Node, Not, condition_of, parse_filter, paths_of
from twinbert.retrieval.payload import record_of


def matching(node: Node, documents: list[Document]) -> list[bool]:
    """What SQLite says of each document's payload."""
    store = apsw.Connection(":memory:")
    store.execute("CREATE TABLE documents (payload TEXT NOT NULL) STRICT")
    store.executemany("INSERT INTO documents VALUES (?)", [(record_of(one, "space").payload,) for one in documents])
    condition = condition_of(node)
    found = store.execute(f"SELECT ({condition.sql}) IS TRUE FROM documents ORDER BY rowid", condition.values)
    return [bool(truth) for (truth,) in found]


documents = st.builds(Document, id=st.just("d"), text=texts, title=texts, metadata=metadata)


@given(nodes, st.lists(documents, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_sql_matches_what_the_filter_means(node: Node, some: list[Document]) -> None:
    expected = [matches(node, one.title, one.text, one.metadata) for one in some]
    assert matching(node, some) == expected


@given(nodes, st.data())
@settings(max_examples=100, deadline=None)
def test_sql_matches_where_the_fields_are_there(node: Node, data: st.DataObject) -> None:
    some = [Document("d", "", "", fitting(node, data)) for _ in range(4)]
    expected = [matches(node, one.title, one.text, one.metadata) for one in some]
    assert matching(node, some) == expected


def fitting(node: Node, data: st.DataObject) -> dict[str, object]:
    """Metadata that have the very fields that a filter asks for, often with a value of it."""
    fields: dict[str, object] = {}
    for field, value in asked(node):
        inner = data.draw(st.sampled_from(value) | entries if value else entries)
        for name in reversed(field.path[1:]):
            inner = {name: inner}
        fields[field.path[0]] = data.draw(st.just(inner) | st.just([inner]))
    return fields


def asked(node: object) -> list[tuple[Field, list[object]]]:
    if hasattr(node, "terms"):
        return [pair for term in node.terms for pair in asked(term)]
    if isinstance(node, Not):
        return asked(node.term)
    value = getattr(node, "values", None) or (getattr(node, "value", None),)
    return [(node.field, [one for one in value if one is not None])]  # type: ignore[attr-defined]


VALUES = [None, 0, 1, 1.0, True, False, "1", "true", "de", ["de"], [1, "x"], {"de": 1}, '["de"]']


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("v = 1", [1, 1.0]),
        ("v != 1", [0]),
        ("not v = 1", [0]),
        ('v = "1"', ["1"]),
        ("v = true", [True]),
        ("v != true", [False]),
        ("v > 0", [1, 1.0]),
        ('v > ""', ["1", "true", "de", '["de"]']),
        ("v = '[\"de\"]'", ['["de"]']),
        ("v in (1, 'de')", [1, 1.0, "de"]),
        ("v not in (1, 'de')", [0, "1", "true", '["de"]']),
        ("v not in (true)", [False]),
        ("v contains 'de'", [["de"]]),
        ("v not contains 'de'", [[1, "x"]]),
        ("v contains 1", [[1, "x"]]),
        ("v starts with '[\"'", ['["de"]']),
        ("v not starts with 't'", ["1", "de", '["de"]']),
        ("v is null", [None]),
        ("v.de = 1", [{"de": 1}]),
        ("v.de is null", [value for value in VALUES if not isinstance(value, dict)]),
        ("v = 1 or not v = 1", [0, 1, 1.0]),
    ],
)
def test_kinds_never_mix(expression: str, found: list[object]) -> None:
    some = [Document("d", "", "", {"v": value}) for value in VALUES] + [Document("d", "", "")]
    truths = matching(parse_filter(expression), some)
    assert [repr(one.metadata["v"]) for one, truth in zip(some[:-1], truths, strict=False) if truth] == [
        repr(value) for value in found
    ]
    assert truths[-1] == (expression.endswith("is null"))


ATTACKS = ["'", "''", "' OR 1=1 --", "; DROP TABLE documents; --", "') OR (1=1", "?", "?1", "$.a", "*", "%", "/*", "]"]


@pytest.mark.parametrize("attack", [*ATTACKS, '"', "\\", "\\'", '"; --'])
def test_values_never_become_sql(attack: str) -> None:
    some = [Document("d", "", "", {"v": attack}), Document("e", "", "", {"v": "x"})]
    node = Comparison(Field(("v",)), "=", attack)
    assert matching(node, some) == [True, False]
    assert condition_of(node) == Condition(condition_of(parse_filter("v = 'x'")).sql, (attack,))


@pytest.mark.parametrize("attack", ATTACKS)
def test_names_never_become_sql(attack: str) -> None:
    some = [Document("d", "", "", {attack: 7}), Document("e", "", "", {"v": 7})]
    assert matching(parse_filter(f"`{attack}` = 7"), some) == [True, False]
    assert matching(parse_filter({f"`{attack}`": {"$ne": None}}), some) == [True, False]


@pytest.mark.parametrize("name", ['a"', "a\\", "a`", "a\x00b", "a\n", '"."b', "\u2028", "\x85"])
def test_names_that_no_path_can_quote_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"rename the field|stray backquote|a NUL character"):
        parse_filter({name: 7})


@pytest.mark.parametrize(
    "path", ["", "$", "$.a", '$."a"b', '$."a', '$."a"."', '$."a\\"."b"', '$."a\n"', '$."\ud800"', '$.""']
)
def test_the_index_takes_no_path_that_could_end_a_name(path: str) -> None:
    with pytest.raises(InvalidInputError, match="leads to no place in a payload"):
        kind_at(path)


def test_the_document_s_own_title_and_text_are_fields_too() -> None:
    some = [Document("a", "x", "Part 1", {"title": "Part 2"}), Document("b", "y", "Part 2")]
    assert matching(parse_filter("title = 'Part 1' and text = 'x'"), some) == [True, False]
    assert matching(parse_filter("title starts with 'Part'"), some) == [True, True]


def test_fields_lead_to_places_in_the_payload() -> None:
    paths = paths_of(["lang", "author.`first name`", "lang", "title"])
    assert paths == ('$."metadata"."lang"', '$."metadata"."author"."first name"', '$."title"')
    with pytest.raises(InvalidInputError, match="column 5: expected a dot or the end, found 'c'"):
        paths_of(["a.b c"])
    with pytest.raises(InvalidInputError, match=r"use \['lang'\]"):
        paths_of("lang")
