"""What an index's search effort is tuned with: real queries, or parts of documents, through the query tower."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from twinbert.encoders import TwinEncoder
from twinbert.errors import InvalidInputError
from twinbert.index import BuildOptions, Choice
from twinbert.retrieval import Document, Retriever
from twinbert.retrieval.evidence import key_space
from twinbert.retrieval.payload import record_of
from twinbert.retrieval.tuning_queries import QuerySample, read_tuning_queries

GRAPH = BuildOptions(index_key="HNSW8", target_k=5)


def sampled(documents: list[Document]) -> list[str]:
    sample = QuerySample()
    records = [record_of(document, "space") for document in documents]
    assert list(sample.watch(records)) == records
    return sample.queries()


def many(count: int) -> Iterator[Document]:
    for n in range(count):
        yield Document(str(n), " ".join(f"w{n}x{place}" for place in range(n % 40)), f"title of {n}" if n % 3 else "")


def test_queries_are_titles_and_spans_of_three_to_twelve_words() -> None:
    known = {document.id: document for document in many(2_000)}
    queries = sampled(list(known.values()))
    titles = [query for query in queries if query.startswith("title of ")]
    assert 400 < len(queries) <= 500
    assert 100 < len(titles) < 300
    for query in set(queries) - set(titles):
        document = known[query[1:].split("x")[0]]
        assert query in document.text
        assert len(query) <= 64
        assert len(query.split()) <= 12
        assert len(query.split()) >= 3 or len(query) > 50 or query == document.text


def test_every_document_is_as_likely_to_be_drawn_and_always_the_same_are() -> None:
    corpus = [Document(str(n), f"word{n}") for n in range(5_000)]
    drawn = sampled(corpus)
    assert drawn == sampled(corpus)
    places = sorted(int(text.removeprefix("word")) for text in drawn)
    assert len(set(places)) == 500
    assert np.allclose(np.histogram(places, bins=5, range=(0, 5_000))[0], 100, atol=30)


def test_texts_without_spaces_are_cut_and_blank_ones_left_out() -> None:
    assert sampled([Document("1", ""), Document("2", "语" * 500), Document("3", " ", "\n")]) == ["语" * 64]


def test_a_build_is_tuned_with_parts_of_its_documents(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    told: list[Choice] = []
    with Retriever.build(tmp_path / "i", documents, starter, GRAPH, announce=told.append) as retriever:
        tuning = retriever.index.info().tuning
    (choice,) = told
    assert (choice.index_key, choice.reason, choice.vector_bytes) == ("HNSW8", "asked for", 30 * 384 * 4)
    assert tuning is not None
    assert (tuning.queries, tuning.proxy, tuning.k, tuning.met) == (30, False, 5, True)


def test_a_build_is_tuned_with_the_queries_it_is_given(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    queries = ["merge dictionaries", "hash a password", "sort"]
    with Retriever.build(tmp_path / "i", documents, starter, GRAPH, tune_queries=queries) as retriever:
        tuning = retriever.index.info().tuning
        assert tuning is not None
        assert tuning.queries == 3
        kept = np.load(next((tmp_path / "i").glob("segments/*/queries.npy")))
        assert np.array_equal(kept, starter.encode_queries(queries))


def test_no_more_queries_are_encoded_than_are_asked(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    queries = [f"query {n}" for n in range(1_100)]
    with Retriever.build(tmp_path / "i", documents, starter, GRAPH, tune_queries=queries) as retriever:
        tuning = retriever.index.info().tuning
    assert tuning is not None
    assert tuning.queries == 367
    kept = np.load(next((tmp_path / "i").glob("segments/*/queries.npy")))
    assert np.array_equal(kept[[0, -1]], starter.encode_queries(["query 0", "query 1098"]))


def test_exact_search_needs_no_queries(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwinEncoder, "encode_queries", lambda *_: pytest.fail("queries were encoded"))
    told: list[Choice] = []
    Retriever.build(tmp_path / "i", documents, starter, announce=told.append).close()
    assert told == [Choice("Flat", "below 10,000 exact search is quick", 0, 30 * 384 * 4, told[0].build_bytes)]


def test_blank_documents_leave_perturbed_rows_which_is_flagged(tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.build(tmp_path / "i", [Document("1", ""), Document("2", "")], starter, GRAPH) as retriever:
        tuning = retriever.index.info().tuning
    assert tuning is not None
    assert tuning.proxy


def test_queries_are_read_from_jsonl_and_from_lines(tmp_path: Path) -> None:
    beir, lines = tmp_path / "queries.jsonl", tmp_path / "queries.txt.gz"
    beir.write_text('{"_id": "1", "text": "one"}\n{"_id": "2", "text": "two words"}\n')
    lines.write_bytes(gzip.compress(b"one\n\n two words \r\n"))
    assert read_tuning_queries(beir) == read_tuning_queries(lines) == ["one", "two words"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.txt", b"\n \n", r"q\.txt: no queries to tune with: name a file that holds some$"),
        ("q.jsonl", b"", r"q\.jsonl: no queries to tune with"),
        ("q.jsonl", b'{"text": "x"}', r"q\.jsonl:1: the field '_id' is missing"),
        ("q.txt", b"a\n\xff", r"q\.txt:2: not UTF-8"),
    ],
)
def test_bad_files_of_queries_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        read_tuning_queries(tmp_path / name)


def test_the_choice_counts_distinct_texts_of_all_that_would_live(tmp_path: Path, starter: TwinEncoder) -> None:
    options = BuildOptions(flat_below=4)
    some = [Document("1", "a"), Document("2", "a"), Document("3", "b"), Document("4", "c")]

    def would_be(*documents: Document, delete: tuple[str, ...] = (), sync: bool = False) -> tuple[str, int]:
        with retriever.index.writer(sync=sync) as writer:
            space = key_space(retriever.index.schema)
            writer.put(record_of(document, space) for document in documents)
            writer.delete(delete)
            choice = writer.choice()
            return choice.index_key, choice.vector_bytes // (384 * 4)

    with Retriever.build(tmp_path / "i", some, starter, options) as retriever:
        assert would_be() == ("Flat", 3)
        assert would_be(Document("5", "d")) == ("HNSW32,SQ8", 4)
        assert would_be(Document("5", "d"), Document("3", "a")) == ("Flat", 3)
        assert would_be(Document("5", "d"), delete=("1",)) == ("HNSW32,SQ8", 4)
        assert would_be(Document("5", "d"), delete=("1", "2")) == ("Flat", 3)
        assert would_be(Document("5", "d"), sync=True) == ("Flat", 1)


def test_a_budget_that_nothing_fits_is_told_before_anything_is_encoded(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    calls: list[tuple[int, int]] = []
    options = BuildOptions(index_key="HNSW8", memory=1_000_000)
    with pytest.raises(InvalidInputError, match="memory is 1 MB: give more memory"):
        Retriever.build(
            tmp_path / "i", documents, starter, options, progress=lambda done, total: calls.append((done, total))
        )
    assert calls == []


def test_an_index_that_outgrows_exact_search_is_tuned_with_parts_of_its_documents(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    with Retriever.build(tmp_path / "i", documents[:10], starter, BuildOptions(flat_below=20, target_k=5)) as retriever:
        retriever.compact()
        assert retriever.index.info().tuning is None
        retriever.upsert(documents)
        assert retriever.compact() == 3
        tuning = retriever.index.info().tuning
        assert tuning is not None
        assert (tuning.queries, tuning.proxy) == (30, False)
        retriever.compact()
        assert retriever.index.info().tuning is not None
        retriever.compact(["merge dictionaries", "sort"])
        tuning = retriever.index.info().tuning
        assert tuning is not None
        assert tuning.queries == 2


def test_no_target_needs_no_queries(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TwinEncoder, "encode_queries", lambda *_: pytest.fail("queries were encoded"))
    options = BuildOptions(index_key="HNSW8", target_recall=None)
    with Retriever.build(tmp_path / "i", documents, starter, options) as retriever:
        retriever.compact()
        assert retriever.index.info().tuning is None


def test_texts_that_differ_and_have_equal_vectors_are_too_few_to_train_lists(
    tmp_path: Path, starter: TwinEncoder
) -> None:
    some = [Document(str(n), "read" + " " * (n + 1) + "files") for n in range(70)]
    options = BuildOptions(index_key="IVF64,Flat", target_k=5)
    with Retriever.build(tmp_path / "i", some, starter, options) as retriever:
        info = retriever.index.info()
        assert (info.index_key, info.tuning) == ("Flat", None)
        assert info.reason == "IVF64,Flat is trained from 64 distinct vectors on: exact until then"
        assert len(retriever.search("read files", 70)) == 70
        assert retriever.index.verify() == []
