"""The rerank by words, segments and head: against scoring texts by hand, through updates, explained, and refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from score_oracle import Oracle
from twinbert.encoders import TwinEncoder, Weights
from twinbert.errors import InvalidInputError
from twinbert.index import BuildOptions
from twinbert.retrieval import Document, EvidenceOptions, Hit, Retriever, SearchOptions

QUERIES = ["restart a failed service", "gzip XK-4711b", "which folder has the most files", "zählt Wörter"]
WEIGHTS = Weights(lexical=0.05, segments=0.4, head=0.5, unfamiliar=0.0)
SHORT = EvidenceOptions(segments=3, segment_words=8, segment_width=96)
CODE = 0.012
"""What int8 may do to a weighted segment."""


def long_documents(documents: Sequence[Document]) -> list[Document]:
    """Short texts, and long ones made of several; one with a code that no model knows."""
    joined = [
        Document(f"long{n}", " ".join(document.text for document in documents[n : n + 2 + n % 4]), "Long one")
        for n in range(0, 24, 2)
    ]
    return [*documents, *joined, Document("code", "order XK-4711b of the gzip spare parts"), Document("blank", "")]


@pytest.fixture(scope="module")
def corpus(documents: list[Document]) -> list[Document]:
    return long_documents(documents)


@pytest.fixture(scope="module")
def retriever(
    corpus: list[Document], starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Retriever]:
    path = tmp_path_factory.mktemp("rerank") / "docs.index"
    with Retriever.build(path, corpus, starter, evidence=SHORT) as built:
        yield built


def oracle_of(retriever: Retriever, corpus: Sequence[Document], weights: Weights = WEIGHTS) -> Oracle:
    return Oracle(retriever.encoder, corpus, weights, words=8, most=3, width=96)


def assert_ranks_alike(hits: Sequence[Hit], expected: Sequence[tuple[str, float]]) -> None:
    """Same scores, and the same order but for scores that int8 may turn."""
    found = {hit.id: hit.score for hit in hits}
    by_hand = dict(expected)
    for identifier in found.keys() & by_hand.keys():
        assert found[identifier] == pytest.approx(by_hand[identifier], abs=CODE)
    worst = min(by_hand.values(), default=0.0)
    assert all(found[identifier] <= worst + 2 * CODE for identifier in found.keys() - by_hand.keys())
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len(hits) == len(expected)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("k", "depth"), [(3, 5), (10, 20), (50, 100)])
def test_candidates_are_scored_as_their_texts_say(
    retriever: Retriever, corpus: list[Document], query: str, k: int, depth: int
) -> None:
    oracle = oracle_of(retriever, corpus)
    hits = retriever.search(query, k, SearchOptions(depth=depth, candidates="dense", weights=WEIGHTS))
    assert_ranks_alike(hits, oracle.ranking(query, oracle.nearest(query, depth), k))


@pytest.mark.parametrize("query", QUERIES)
def test_lexical_candidates_are_those_with_the_best_bm25(
    retriever: Retriever, corpus: list[Document], query: str
) -> None:
    oracle = oracle_of(retriever, corpus)
    scores = {document.id: oracle.bm25(query, document.id) for document in corpus}
    expected = sorted(
        (name for name in scores if scores[name] > 0), key=lambda name: (scores[name], name), reverse=True
    )
    hits = retriever.search(query, 10, SearchOptions(candidates="lexical", rerank=False))
    assert [hit.id for hit in hits] == expected[:10]
    np.testing.assert_allclose([hit.score for hit in hits], [scores[name] for name in expected[:10]], rtol=1e-5)


@pytest.mark.parametrize("query", QUERIES)
def test_both_kinds_are_joined_and_scored_alike(retriever: Retriever, corpus: list[Document], query: str) -> None:
    oracle = oracle_of(retriever, corpus)
    by_word = [hit.id for hit in retriever.search(query, 4, SearchOptions(candidates="lexical", rerank=False))]
    pool = list(dict.fromkeys(oracle.nearest(query, 4) + by_word))
    options = SearchOptions(depth=4, candidates="both", weights=WEIGHTS, explain=True)
    hits = retriever.search(query, 4, options)
    assert_ranks_alike(hits, oracle.ranking(query, pool, 4))
    for hit in hits:
        assert hit.explanation is not None
        expected = {"dense": hit.id in oracle.nearest(query, 4), "lexical": hit.id in by_word}
        assert hit.explanation.found_by == tuple(name for name, there in expected.items() if there)


def test_a_code_that_the_model_does_not_know_is_found_by_its_letters(retriever: Retriever) -> None:
    assert retriever.search("XK-4711b", 1, SearchOptions(candidates="both"))[0].id == "code"
    assert [hit.id for hit in retriever.search("4711b", 9, SearchOptions(candidates="lexical"))] == ["code"]
    assert retriever.search("4711c", 9, SearchOptions(candidates="lexical")) == []


def test_words_are_looked_up_where_the_model_knows_little_of_the_query(retriever: Retriever) -> None:
    options = SearchOptions(depth=3, explain=True)
    dense, both = replace(options, candidates="dense"), replace(options, candidates="both")
    known, unknown = "which folder has the most files", "open xk4711b"
    found = retriever.search_many([known, unknown, known], 3, options)
    assert [ranking.hits for ranking in found] == [
        tuple(retriever.search(known, 3, dense)),
        tuple(retriever.search(unknown, 3, both)),
        tuple(retriever.search(known, 3, dense)),
    ]
    told = [hit.explanation for hit in found[1].hits if hit.explanation]
    assert [one.found_by for one in told].count(("dense", "lexical")) == 1
    plain = Weights(lexical=0, segments=0, head=0)
    assert retriever.search(unknown, 3, replace(options, weights=plain)) == retriever.search(
        unknown, 3, replace(dense, weights=plain)
    )


@pytest.mark.parametrize("query", QUERIES)
def test_an_explanation_sums_up_to_the_score(retriever: Retriever, corpus: list[Document], query: str) -> None:
    oracle = oracle_of(retriever, corpus)
    for hit in retriever.search(query, 40, SearchOptions(weights=WEIGHTS, explain=True)):
        told = hit.explanation
        assert told is not None
        assert sum(told.contributions.values()) == pytest.approx(hit.score, abs=1e-6)
        assert told.cosine == pytest.approx(oracle.cosine(query, hit.id), abs=1e-5)
        assert told.lexical == pytest.approx(oracle.bm25(query, hit.id), rel=1e-5)
        best = oracle.best_segment(query, hit.id)
        if best is None:
            assert told.segment is None
        else:
            assert told.segment is not None
            assert told.segment.cosine == pytest.approx(best[1], abs=CODE)
            assert f"{hit.title} {hit.text}"[told.segment.start : told.segment.end] == told.segment.text
            assert told.segment.text in oracle.segments(hit.id)


def test_what_weighs_nothing_is_still_explained(retriever: Retriever) -> None:
    cosine = Weights(lexical=0, segments=0, head=0)
    hits = retriever.search("gzip a folder", 30, SearchOptions(weights=cosine, explain=True))
    assert [hit.id for hit in hits] == [
        hit.id for hit in retriever.search("gzip a folder", 30, SearchOptions(rerank=False))
    ]
    told = [hit.explanation for hit in hits if hit.explanation is not None]
    assert len(told) == 30
    assert any(one.lexical > 0 for one in told)
    assert any(one.segment for one in told)


def test_words_count_more_in_a_query_that_the_model_knows_little_of(retriever: Retriever) -> None:
    encoder = retriever.encoder
    assert encoder.unfamiliar("which folder has the most files") == 0
    assert encoder.unfamiliar("gzip xk4711b") == 1
    assert encoder.unfamiliar("open xk4711b") == 0.5
    assert encoder.unfamiliar("?!") == 0
    weights = replace(WEIGHTS, unfamiliar=3.0)
    hit = retriever.search("open xk4711b", 1, SearchOptions(weights=weights, explain=True))[0]
    assert hit.explanation is not None
    assert hit.explanation.weights == replace(weights, lexical=0.05 * 2.5)


def test_scores_follow_the_corpus_through_its_changes(
    tmp_path: Path, corpus: list[Document], starter: TwinEncoder
) -> None:
    present = {document.id: document for document in corpus}
    with Retriever.build(tmp_path / "i", corpus, starter, evidence=SHORT) as retriever:

        def check() -> None:
            oracle = oracle_of(retriever, list(present.values()))
            options = SearchOptions(depth=60, weights=WEIGHTS, candidates="both")
            for query in QUERIES:
                assert_ranks_alike(retriever.search(query, 60, options), oracle.ranking(query, list(present), 60))

        changed = [Document("d3", "gzip gzip gzip and services that failed"), Document("new", "restart " * 30)]
        retriever.upsert(changed)
        present |= {document.id: document for document in changed}
        check()
        retriever.delete(["long2", "d5", "code"])
        gone = {name: present.pop(name) for name in ("long2", "d5", "code")}
        check()
        retriever.compact()
        check()
        retriever.rollback()
        present |= gone
        check()


@pytest.mark.parametrize("key", ["Flat", "HNSW8"])
def test_the_family_of_the_index_makes_no_difference(
    tmp_path: Path, retriever: Retriever, corpus: list[Document], starter: TwinEncoder, key: str
) -> None:
    options = SearchOptions(depth=50, candidates="both", explain=True)
    with Retriever.build(tmp_path / "i", corpus, starter, BuildOptions(index_key=key), evidence=SHORT) as other:
        for query in QUERIES:
            assert other.search(query, 20, options) == retriever.search(query, 20, options)


def test_an_index_without_evidence_serves_what_it_can(
    tmp_path: Path, corpus: list[Document], starter: TwinEncoder
) -> None:
    with Retriever.build(tmp_path / "i", corpus, starter, evidence=None) as retriever:
        assert retriever.weights == replace(starter.weights, lexical=0.0, segments=0.0)
        hits = retriever.search(QUERIES[0], 5)
        assert [hit.id for hit in hits] == [
            hit.id for hit in retriever.search(QUERIES[0], 5, SearchOptions(weights=retriever.weights))
        ]
        with pytest.raises(InvalidInputError, match="keeps neither terms nor segments beside its vectors"):
            retriever.search(QUERIES[0], 5, SearchOptions(weights=Weights(head=0)))
        with pytest.raises(InvalidInputError, match="evidence"):
            retriever.search(QUERIES[0], 5, SearchOptions(candidates="lexical"))


def test_an_index_without_lexical_candidates_still_scores_words(
    tmp_path: Path, corpus: list[Document], retriever: Retriever, starter: TwinEncoder
) -> None:
    with Retriever.build(tmp_path / "i", corpus, starter, BuildOptions(lexical=False), evidence=SHORT) as other:
        assert other.search(QUERIES[1], 9) == retriever.search(QUERIES[1], 9)
        with pytest.raises(InvalidInputError, match="lexical"):
            other.search(QUERIES[1], 9, SearchOptions(candidates="both"))


def test_a_head_that_is_not_there_has_no_weight(
    tmp_path: Path, documents: list[Document], variant: Callable[..., Path]
) -> None:
    with Retriever.build(tmp_path / "i", documents, variant(head="none")) as retriever:
        assert retriever.search(QUERIES[0], 3)
        with pytest.raises(InvalidInputError, match=r"has no residual head: set the weight head to 0"):
            retriever.search(QUERIES[0], 3, SearchOptions(weights=Weights(head=0.5)))


def test_the_language_is_the_model_s_unless_another_is_chosen(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    found = {}
    for language in ("auto", "de", None):
        options = EvidenceOptions(language=language)
        with Retriever.build(tmp_path / str(language), documents, starter, evidence=options) as retriever:
            hits = retriever.search("restarted services", 30, SearchOptions(candidates="lexical", rerank=False))
            found[language] = [hit.id for hit in hits]
            told = retriever.search("sorting", 30, SearchOptions(candidates="lexical", rerank=False))
            found[f"sort {language}"] = [hit.id for hit in told]
    assert found["sort auto"] == ["d2"], "sorting is found by sort"
    assert found["sort None"] == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EvidenceOptions(language="xx"), "no stemmer for the language 'xx'"),
        (lambda: EvidenceOptions(segments=-1), "segments must be a whole number of at least 0, not -1"),
        (lambda: EvidenceOptions(segment_words=0), "segment_words must be at least 1, not 0"),
        (lambda: Weights(lexical=-1), "the weight lexical must be a number of at least 0, not -1"),
        (lambda: Weights(segments=1.5), "segments is a share of the cosine, at most 1, not 1.5"),
        (lambda: Weights(cosine=0, lexical=0, head=0), "all weights are 0"),
        (
            lambda: SearchOptions(candidates="sparse"),
            "candidates must be one of auto, dense, lexical, both, not 'sparse'",
        ),  # type: ignore[arg-type]
        (lambda: SearchOptions(candidates="both", rerank=False), "need the rerank: leave it on"),
        (lambda: SearchOptions(explain=True, rerank=False), "need the rerank: leave it on"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        make()
    assert message in str(caught.value)


def test_segments_are_no_wider_than_the_vectors(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    options = EvidenceOptions(segment_width=500)
    with Retriever.build(tmp_path / "i", long_documents(documents), starter, evidence=options) as retriever:
        evidence = retriever.index.schema.evidence
        assert evidence is not None
        assert evidence.part_width == starter.dimension
        assert retriever.search(QUERIES[0], 3)


def test_what_an_index_or_a_model_has_nothing_for_weighs_nothing(
    tmp_path: Path, documents: list[Document], variant: Callable[..., Path]
) -> None:
    without = EvidenceOptions(segments=0)
    with Retriever.build(tmp_path / "i", documents, variant(head="none"), evidence=without) as retriever:
        assert (retriever.weights.segments, retriever.weights.head) == (0, 0)
        assert retriever.weights.lexical > 0
        own = SearchOptions(weights=retriever.weights)
        assert retriever.search(QUERIES[0], 3, own) == retriever.search(QUERIES[0], 3)
        with pytest.raises(InvalidInputError, match="was built without segments: set the weight segments to 0"):
            retriever.search(QUERIES[0], 3, SearchOptions(weights=Weights(head=0)))
