"""Records are checked where they are made, and say exactly what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twinbert.errors import InvalidInputError
from twinbert.retrieval import Document, Query, SearchOptions

SURROGATE = "which UTF-8 cannot write: remove it"
NOT_JSON = "not a JSON value: use a string, number, boolean, null, list or object"


def refusal(make: Callable[..., object], *args: object, **named: object) -> str:
    with pytest.raises(InvalidInputError) as caught:
        make(*args, **named)
    return str(caught.value)


@pytest.mark.parametrize(
    ("title", "text", "encoded"),
    [
        ("", "a b", "a b"),
        ("Title", "text", "Title text"),
        ("Title", "", "Title"),
        ("", "", ""),
        ("  T ", " x\n", "T   x"),
    ],
)
def test_title_and_text_are_joined_with_one_space_and_stripped(title: str, text: str, encoded: str) -> None:
    assert Document("1", text, title).full_text == encoded


@pytest.mark.parametrize("identifier", ["7", "07", " 7", "a b", "ü\n", "\u2028x"])
def test_ids_are_kept_exactly(identifier: str) -> None:
    assert Document(identifier, "x").id == identifier


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("", "id is empty or blank: give every document and query an id of its own"),
        (" \t", "id is empty or blank: give every document and query an id of its own"),
        (17, 'id must be a string, not the number 17: write "17"'),
        (True, "id must be a string, not a boolean"),
        (None, "id must be a string, not null"),
        ("a\0b", "id holds a NUL character (at character 2): remove it"),
        ("ab\ud800", "id holds a lone surrogate (at character 3), " + SURROGATE),
    ],
)
def test_an_id_that_is_none_is_refused(identifier: object, message: str) -> None:
    assert refusal(Document, identifier, "x") == message
    assert refusal(Query, identifier, "x") == message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text": 3}, "text must be a string, not a number"),
        ({"text": "x", "title": ["t"]}, "title must be a string, not a list"),
        ({"text": "x\0"}, "text holds a NUL character (at character 2): remove it"),
        ({"text": "x", "title": "\udfff"}, "title holds a lone surrogate (at character 1), " + SURROGATE),
        ({"text": "x", "metadata": [1]}, "metadata must be an object, not a list"),
        (
            {"text": "x", "metadata": {"a": [1, {"b": float("nan")}]}},
            "metadata['a'][1]['b'] is nan, which JSON cannot write: leave it out or use null",
        ),
        ({"text": "x", "metadata": {"a": (1,)}}, "metadata['a'] is a tuple, " + NOT_JSON),
        (
            {"text": "x", "metadata": {"n": 10**5000}},
            "metadata['n'] is a number of more than 4096 bits: write it as a string",
        ),
        ({"text": "x", "metadata": {1: "a"}}, "a key of metadata must be a string, not a number"),
        (
            {"text": "x", "metadata": {"a": "\ud800"}},
            "metadata['a'] holds a lone surrogate (at character 1), " + SURROGATE,
        ),
    ],
)
def test_a_document_that_cannot_be_stored_is_refused(fields: dict[str, object], message: str) -> None:
    assert refusal(Document, "1", **fields) == message


def test_metadata_that_hold_themselves_are_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert refusal(Document, "1", "x", metadata={"a": loop}).endswith("is nested deeper than 64 levels: flatten it")


def test_metadata_are_copied() -> None:
    given = {"tags": ["a"]}
    document = Document("1", "x", metadata=given)
    given["tags"].append("b")
    assert document.metadata == {"tags": ["a"]}
    assert document == Document("1", "x", metadata={"tags": ["a"]})
    assert hash(document) == hash(Document("1", "x", metadata={"tags": ["a"]}))


@pytest.mark.parametrize(
    ("text", "message"),
    [(" ", "query is empty or blank: write what to search for"), (3, "query must be a string, not a number")],
)
def test_a_query_without_words_is_refused(text: object, message: str) -> None:
    assert refusal(Query, "1", text) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth must be at least 1, not 0"),
        ({"ef_search": -3}, "ef_search must be at least 1, not -3"),
        ({"depth": 1.5}, "depth must be a whole number, not a number"),
        ({"depth": True}, "depth must be a whole number, not a boolean"),
    ],
)
def test_search_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    assert refusal(SearchOptions, **options) == message
