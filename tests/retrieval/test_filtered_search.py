"""Filters through the retriever: what is served is what matches, and nothing changes but that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from filter_oracle import matches, metadata, nodes, texts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twinbert.encoders import TwinEncoder
from twinbert.errors import InvalidInputError
from twinbert.retrieval import Document, Retriever, SearchOptions
from twinbert.retrieval.filters import Node, parse_filter

QUERY = "sort a list in place"


@pytest.fixture(scope="module")
def labelled(documents: list[Document]) -> list[Document]:
    languages = ["de", "en", None, "fr"]
    return [
        Document(
            one.id, one.text, one.title, {"n": n, "lang": languages[n % 4], "tags": [f"t{n % 3}"], "by": {"age": n}}
        )
        for n, one in enumerate(documents)
    ]


@pytest.fixture(scope="module")
def library(
    labelled: list[Document], starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retriever]:
    path = tmp_path_factory.mktemp("library") / "docs.index"
    with Retriever.build(path, labelled, starter, filterable=["lang", "by.age"]) as retriever:
        yield retriever


@pytest.mark.parametrize("rerank", [True, False])
@pytest.mark.parametrize(
    "filters",
    [
        'lang = "de"',
        "lang is null and n > 3",
        'lang in ("de", "fr") and not tags contains "t1"',
        "title = 'Part 1' or by.age < 2",
        {"lang": "de", "by.age": {"$gte": 4}},
        "lang = 'nowhere'",
    ],
)
def test_hits_are_the_best_of_what_matches(
    library: Retriever, labelled: list[Document], filters: object, rerank: bool
) -> None:
    node = parse_filter(filters)  # type: ignore[arg-type]
    right = {one.id for one in labelled if matches(node, one.title, one.text, one.metadata)}
    everything = library.search(QUERY, len(labelled), SearchOptions(rerank=rerank))
    expected = [(hit.id, hit.score) for hit in everything if hit.id in right]
    for k in (3, len(labelled)):
        options = SearchOptions(rerank=rerank, filter=filters)  # type: ignore[arg-type]
        hits = library.search(QUERY, k, options)
        assert [hit.id for hit in hits] == [name for name, _ in expected[:k]]
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected[:k]], abs=1e-5)
        assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))


@given(nodes, st.lists(st.tuples(texts, texts, metadata), min_size=1, max_size=8, unique_by=lambda one: one[0]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_matches_is_found(
    starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory, node: Node, contents: list[tuple]
) -> None:
    some = [Document(f"{place}", text, title, facts) for place, (text, title, facts) in enumerate(contents)]
    kept = [str(field) for field in {*_fields(node)}]
    path = tmp_path_factory.mktemp("any") / "x"
    with Retriever.build(path, some, starter, filterable=kept) as retriever:
        hits = retriever.search("a", len(some), SearchOptions(filter=str(node)))
        assert {hit.id for hit in hits} == {one.id for one in some if matches(node, one.title, one.text, one.metadata)}
        assert set(retriever.filterable) == set(kept)


def _fields(node: object) -> Iterator[object]:
    for term in getattr(node, "terms", None) or [getattr(node, "term", None)]:
        yield from _fields(term) if term is not None else [node.field]  # type: ignore[attr-defined]


def test_filters_follow_updates(tmp_path: Path, labelled: list[Document], starter: TwinEncoder) -> None:
    german = SearchOptions(filter='lang = "de"', depth=50)
    with Retriever.build(tmp_path / "x", labelled, starter) as retriever:
        assert retriever.filterable == ()
        before = {hit.id for hit in retriever.search(QUERY, 50, german)}
        retriever.upsert([Document("d1", labelled[1].text, labelled[1].title, {"lang": "de"}), Document("new", "x")])
        assert retriever.last_report is not None
        assert {hit.id for hit in retriever.search(QUERY, 50, german)} == before | {"d1"}
        retriever.delete(["d0"])
        retriever.index.compact()
        assert {hit.id for hit in retriever.search(QUERY, 50, german)} == (before | {"d1"}) - {"d0"}


@pytest.mark.parametrize("filters", ["", "lang =", {}, {"$where": 1}, 7, ["lang"]])
def test_a_bad_filter_is_refused_where_it_is_made(filters: object) -> None:
    with pytest.raises(InvalidInputError, match="filter"):
        SearchOptions(filter=filters)  # type: ignore[arg-type]


def test_a_bad_field_is_refused_before_anything_is_made(tmp_path: Path, starter: TwinEncoder) -> None:
    with pytest.raises(InvalidInputError, match="column 5: expected a dot or the end"):
        Retriever.build(tmp_path / "x", [Document("a", "b")], starter, filterable=["two words"])
    assert list(tmp_path.iterdir()) == []
