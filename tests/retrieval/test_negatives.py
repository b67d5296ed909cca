"""Pairs mined with a real index and the starter."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from twinbert import Document, Query, Retriever, TwinEncoder
from twinbert.errors import InvalidInputError
from twinbert.retrieval import MinedPair, MiningOptions, mine_pairs

TEXTS = {
    "open": "open a file for reading and return it",
    "close": "close an open file and flush what was written",
    "remove": "remove a file from its directory",
    "copy": "copy a file to another directory",
    "sort": "sort the items of a list in place",
    "clock": "the time in seconds since the epoch",
}
QUERIES = [Query("q1", "how do I open a file"), Query("q2", "what time is it"), Query("q3", "never judged")]
QRELS = {"q1": {"open": 2, "copy": 0}, "q2": {"clock": 1}}


@pytest.fixture
def retriever(tmp_path: Path, starter: TwinEncoder) -> Iterator[Retriever]:
    documents = [Document(name, text) for name, text in TEXTS.items()]
    with Retriever.build(tmp_path / "docs.index", documents, starter) as built:
        yield built


def of(pairs: list[MinedPair], query: str, origin: str) -> list[str]:
    return [pair.document_id for pair in pairs if (pair.query_id, pair.origin) == (query, origin)]


def test_negatives_come_by_rank_without_what_was_judged(retriever: Retriever) -> None:
    pairs = list(mine_pairs(retriever, QUERIES, QRELS, MiningOptions(depth=5, per_query=9)))
    assert [(pair.document_id, pair.label) for pair in pairs if pair.origin == "judged" and pair.query_id == "q1"] == [
        ("open", 1),
        ("copy", 0),
    ]
    ranking = [hit.id for hit in retriever.search(QUERIES[0].text, k=5)]
    by_cosine = sorted(
        (pair for pair in pairs if pair.query_id == "q1" and pair.origin == "mined"), key=lambda p: p.rank
    )
    assert of(pairs, "q1", "mined") == [pair.document_id for pair in by_cosine]
    assert set(of(pairs, "q1", "mined")) == set(ranking) - {"open", "copy"}
    assert all(pair.label == 0 for pair in pairs if pair.origin != "judged")
    assert {pair.query_id for pair in pairs} == {"q1", "q2"}
    assert {pair.document for pair in pairs} <= set(TEXTS.values())


def test_the_first_ranks_can_be_skipped_and_a_margin_kept(retriever: Retriever) -> None:
    options = MiningOptions(depth=6, per_query=9)
    every = [
        pair for pair in mine_pairs(retriever, QUERIES[:1], {"q1": QRELS["q1"]}, options) if pair.origin == "mined"
    ]
    skipped = mine_pairs(retriever, QUERIES[:1], {"q1": QRELS["q1"]}, dataclasses.replace(options, skip=3))
    assert of(list(skipped), "q1", "mined") == [pair.document_id for pair in every if pair.rank > 3]
    best = float(
        retriever.encoder.encode_queries([QUERIES[0].text])[0] @ retriever.encoder.encode_documents([TEXTS["open"]])[0]
    )
    apart = mine_pairs(retriever, QUERIES[:1], {"q1": QRELS["q1"]}, dataclasses.replace(options, margin=0.3))
    assert of(list(apart), "q1", "mined") == [pair.document_id for pair in every if pair.cosine <= best - 0.3]


def test_a_seed_decides_every_draw(retriever: Retriever) -> None:
    options = MiningOptions(depth=6, per_query=1, random=2)
    first, again = (list(mine_pairs(retriever, QUERIES, QRELS, options)) for _ in range(2))
    assert first == again
    alone = list(mine_pairs(retriever, QUERIES[1:], {"q2": QRELS["q2"]}, options))
    assert alone == [pair for pair in first if pair.query_id == "q2"]
    seeds = [dataclasses.replace(options, seed=seed) for seed in range(8)]
    assert len({tuple(of(list(mine_pairs(retriever, QUERIES, QRELS, one)), "q1", "random")) for one in seeds}) > 1


def test_random_negatives_are_neither_judged_nor_mined(retriever: Retriever) -> None:
    pairs = list(mine_pairs(retriever, QUERIES, QRELS, MiningOptions(depth=6, per_query=1, random=9)))
    for query, judged in QRELS.items():
        mined, drawn = of(pairs, query, "mined"), of(pairs, query, "random")
        assert len(mined) == 1
        assert sorted([*judged, *mined, *drawn]) == sorted(TEXTS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_query": 0}, "ask for one negative a query at least"),
        ({"depth": 3, "skip": 3}, "depth 3 leaves no rank after the 3 skipped"),
    ],
)
def test_numbers_that_leave_nothing_are_refused(options: dict, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        MiningOptions(**options)


def test_judgements_of_what_is_not_there_are_refused(retriever: Retriever) -> None:
    with pytest.raises(InvalidInputError, match="document 'gone', judged for query 'q1', is not in the index"):
        list(mine_pairs(retriever, QUERIES, {"q1": {"gone": 1}}))
    with pytest.raises(InvalidInputError, match="query 'q9' is judged but not among the queries"):
        list(mine_pairs(retriever, QUERIES, {"q9": {"open": 1}}))
