"""Searching: both stages against scoring every document by hand, the shape of hits, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from score_oracle import Oracle
from twinbert.encoders import TwinEncoder, Weights
from twinbert.encoders.serving.crossing import LinearHead, ResidualCrossing
from twinbert.errors import InvalidInputError
from twinbert.index import BuildOptions, Index, IndexSchema, Record
from twinbert.retrieval import Document, Hit, Query, Ranking, Retriever, SearchOptions

QUERIES = ["strip blanks of a string", "execute a command and capture its output", "how long did it take", "files"]


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("k", "depth"), [(3, 3), (3, 7), (10, None), (50, None)])
@pytest.mark.parametrize("name", ["shared", "reordering"])
def test_reranking_is_scoring_the_candidates_by_hand(
    request: pytest.FixtureRequest, documents: list[Document], name: str, query: str, k: int, depth: int | None
) -> None:
    retriever: Retriever = request.getfixturevalue(name)
    hits = retriever.search(query, k, SearchOptions(depth=depth))
    oracle = Oracle(retriever.encoder, documents, retriever.weights)
    expected = oracle.ranking(query, oracle.nearest(query, depth or 100), k)
    assert [hit.id for hit in hits] == [identifier for identifier, _ in expected]
    np.testing.assert_allclose([hit.score for hit in hits], [score for _, score in expected], atol=1e-5)


def test_equal_scores_of_different_texts_come_by_id_descending_before_the_cut(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    flat = ResidualCrossing(np.float32(0), np.float32(0.5), LinearHead(np.zeros(starter.dimension, dtype=np.float32)))
    alike = Weights(cosine=0, lexical=0, segments=0, head=1)
    with Retriever.build(tmp_path / "i", documents, variant(head=flat)) as retriever:
        nearest = retriever.search(QUERIES[0], 12, SearchOptions(rerank=False))
        hits = retriever.search(QUERIES[0], 5, SearchOptions(depth=12, weights=alike))
        assert [hit.id for hit in hits] == sorted((hit.id for hit in nearest), reverse=True)[:5]
        assert [hit.score for hit in hits] == [0] * 5


@pytest.mark.parametrize("query", QUERIES)
def test_without_the_rerank_hits_come_in_the_order_of_the_cosine(
    shared: Retriever, documents: list[Document], query: str
) -> None:
    hits = shared.search(query, 10, SearchOptions(rerank=False))
    oracle = Oracle(shared.encoder, documents, shared.weights)
    expected = oracle.nearest(query, 10)
    assert [hit.id for hit in hits] == expected
    cosines = [oracle.cosine(query, identifier) for identifier in expected]
    np.testing.assert_allclose([hit.score for hit in hits], cosines, atol=1e-6)


def test_a_model_without_a_head_can_serve_the_cosine_alone(
    tmp_path: Path, documents: list[Document], variant: Callable[..., Path]
) -> None:
    with Retriever.build(tmp_path / "i", documents, variant(head="none")) as retriever:
        assert not retriever.encoder.has_head
        cosine = SearchOptions(weights=Weights(lexical=0, segments=0, head=0))
        assert retriever.search(QUERIES[0], options=cosine) == retriever.search(
            QUERIES[0], options=SearchOptions(rerank=False)
        )


def test_bounds_beyond_the_index_cost_no_memory(shared: Retriever, documents: list[Document]) -> None:
    all_of_them = len(documents)
    for rerank in (True, False):
        everything = shared.search(QUERIES[0], all_of_them, SearchOptions(rerank=rerank))
        assert len(everything) == all_of_them
        assert shared.search(QUERIES[0], 10**13, SearchOptions(rerank=rerank)) == everything
    assert shared.search(QUERIES[0], 3, SearchOptions(depth=10**13)) == shared.search(QUERIES[0], 3)


def test_a_hit_carries_the_whole_document(shared: Retriever, documents: list[Document]) -> None:
    wanted = documents[3]
    hit = shared.search(wanted.text, 1)[0]
    assert hit == Hit(wanted.id, 1, hit.score, None, wanted.text, wanted.metadata, wanted.title)
    assert type(hit.score) is float


def test_many_queries_get_the_answers_of_one_at_a_time(shared: Retriever) -> None:
    texts = [f"{query} {n}" for n in range(75) for query in QUERIES]
    rankings = shared.search_many(texts, 2)
    assert [ranking.query_id for ranking in rankings] == [str(n) for n in range(1, 301)]
    for place in (0, 255, 256, 299):
        alone = shared.search(texts[place], 2)
        assert [hit.id for hit in rankings[place].hits] == [hit.id for hit in alone]
        np.testing.assert_allclose([hit.score for hit in rankings[place].hits], [hit.score for hit in alone], atol=1e-4)
    assert shared.search_many([]) == []


def test_queries_keep_their_ids_and_payloads_can_be_left_out(shared: Retriever) -> None:
    full = shared.search_many([Query("q7", QUERIES[0])], 2)
    assert full == [Ranking("q7", tuple(shared.search(QUERIES[0], 2)))]
    bare = shared.search_many([Query("q7", QUERIES[0])], 2, payloads=False)
    assert [(hit.id, hit.score, hit.text, hit.title, hit.metadata) for hit in bare[0].hits] == [
        (hit.id, hit.score, "", "", {}) for hit in full[0].hits
    ]


def test_the_first_stage_alone_gives_rows_and_cosines(shared: Retriever) -> None:
    vectors = shared.encoder.encode_queries(QUERIES[:2])
    found = shared.candidates(vectors, 40)
    assert found.rows.shape == found.scores.shape == (2, 40)
    assert (found.rows[:, 30:] == -1).all()
    hits = shared.search(QUERIES[0], 30, SearchOptions(rerank=False))
    assert [stored.id for stored in shared.index.stored(found.rows[0, :30])] == [hit.id for hit in hits]


@pytest.mark.parametrize("rerank", [True, False])
def test_equal_texts_score_alike_and_come_by_id_descending_before_the_cut(
    tmp_path: Path, starter: TwinEncoder, rerank: bool
) -> None:
    same = [Document(identifier, "merge two lists") for identifier in ("b", "10", "B", "ä", "9", "a")]
    with Retriever.build(tmp_path / "i", [*same, Document("zz", "an unrelated sentence")], starter) as retriever:
        options = SearchOptions(rerank=rerank)
        hits = retriever.search("merge lists", 4, options)
        assert [hit.id for hit in hits] == ["ä", "b", "a", "B"]
        assert len({hit.score for hit in hits}) == 1
        everything = [hit.id for hit in retriever.search("merge lists", 9, options)]
        assert everything == ["ä", "b", "a", "B", "9", "10", "zz"]


def test_a_shared_vector_has_one_score_whatever_stands_beside_it(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    copies = [Document(f"copy{n:02}", "copy a file into a folder") for n in range(19)]
    with Retriever.build(tmp_path / "i", [*documents, *copies], starter) as retriever:
        for depth in range(19, 50):
            hits = retriever.search("copy a file into a folder", depth, SearchOptions(depth=depth))
            found = [hit for hit in hits if hit.id.startswith("copy")]
            assert [hit.id for hit in found] == [copy.id for copy in reversed(copies)]
            assert len({hit.score for hit in found}) == 1


def test_options_of_one_search_reach_the_graph(tmp_path: Path, starter: TwinEncoder) -> None:
    points = np.random.default_rng(0).standard_normal((3_050, starter.dimension)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    keys = [n.to_bytes(32, "big") for n in range(3_000)]
    schema = IndexSchema(starter.space, starter.dimension, '{"source":"starter"}')
    with Index.create(tmp_path / "i", schema, BuildOptions(index_key="HNSW16")) as index:
        with index.writer(replace=True) as writer:
            writer.put(Record(str(n), key, "{}") for n, key in enumerate(keys))
            writer.put_vectors(keys, points[:3_000])
            writer.commit()
        retriever, queries = Retriever(index, starter), points[3_000:]
        exact = retriever.candidates(queries, 10, SearchOptions(exact=True)).rows
        assert (exact - 1 == np.argsort(-(queries @ points[:3_000].T), axis=1)[:, :10]).all()
        wide = retriever.candidates(queries, 10, SearchOptions(ef_search=1_000)).rows
        narrow = retriever.candidates(queries, 10, SearchOptions(ef_search=10)).rows
    assert (narrow != exact).sum() > (wide != exact).sum()


def test_queries_are_encoded_in_few_large_batches(shared: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    encode = shared.encoder.encode_queries

    def counted(texts: Sequence[str]) -> NDArray[np.float32]:
        sizes.append(len(texts))
        return encode(texts)

    monkeypatch.setattr(shared.encoder, "encode_queries", counted)
    shared.search_many(["files"] * 600, 1)
    assert sizes == [256, 256, 88]


def test_the_graph_asked_exactly_answers_as_the_flat_index(
    tmp_path: Path, shared: Retriever, documents: list[Document], starter: TwinEncoder
) -> None:
    options = BuildOptions(index_key="HNSW8")
    with Retriever.build(tmp_path / "i", documents, starter, options) as graph:
        for query in QUERIES:
            assert graph.search(query, options=SearchOptions(exact=True)) == shared.search(query)
            assert graph.search(query, options=SearchOptions(ef_search=64)) == shared.search(query)


def test_an_empty_index_answers_nothing(tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.build(tmp_path / "i", [], starter) as retriever:
        assert len(retriever) == 0
        assert retriever.search("anything") == []
        retriever.upsert([Document("1", "something")])
        assert [hit.id for hit in retriever.search("anything")] == ["1"]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda r: r.search(""), "query is empty or blank: write what to search for"),
        (lambda r: r.search(" \n"), "query is empty or blank: write what to search for"),
        (lambda r: r.search("a\0"), "query holds a NUL character (at character 2): remove it"),
        (lambda r: r.search_many(["a", " "]), "query is empty or blank: write what to search for"),
        (lambda r: r.search_many("abc"), "queries must be a list, not one string: use search, or put it in a list"),
        (lambda r: r.search("a", 0), "k must be at least 1, not 0"),
        (lambda r: r.search("a", 2.0), "k must be a whole number, not a number"),
        (
            lambda r: r.search("a", 10, SearchOptions(depth=9)),
            "depth 9 is below k 10: rerank at least as many candidates as are asked for",
        ),
        (lambda r: r.get("d1"), "ids must be a list, not one string: use ['d1']"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(
    shared: Retriever, ask: Callable[[Retriever], object], message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        ask(shared)
    assert str(caught.value) == message
