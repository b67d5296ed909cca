"""Building and changing: as a dictionary would, encoding nothing twice, all or nothing, with the right model only."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from twinbert.encoders import TwinEncoder, Weights
from twinbert.errors import (
    DuplicateIdError,
    IndexDamagedError,
    IndexExistsError,
    IndexLockedError,
    IndexNotFoundError,
    IndexUnfinishedError,
    InvalidInputError,
    SpaceMismatchError,
    TwinBertError,
)
from twinbert.index import BuildOptions, Candidates, ChangeReport, DeleteReport, Index, IndexSchema, Record
from twinbert.retrieval import Document, Retriever, SearchOptions, read_documents

Progress = list[tuple[int, int]]


def note(calls: Progress) -> Callable[[int, int], None]:
    return lambda done, total: calls.append((done, total))


def contents(retriever: Retriever) -> dict[str, Document | None]:
    ids = list(retriever.index.ids())
    return dict(zip(ids, retriever.get(ids), strict=True))


def test_what_was_built_is_there_when_opened_again(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    calls: Progress = []
    with Retriever.build(tmp_path / "i", iter(documents), starter, progress=note(calls)) as built:
        assert built.last_report == ChangeReport(30, 0, 0, 0, 0, 30, 1)
        before = built.search("merge dictionaries", 5)
    assert calls == [(0, 30), (30, 30)]
    with Retriever.open(tmp_path / "i") as opened:
        assert opened.encoder.source == "starter"
        assert len(opened) == 30
        assert contents(opened) == {document.id: document for document in documents}
        assert opened.get(["d2", "none", "d0"]) == [documents[2], None, documents[0]]
        assert opened.search("merge dictionaries", 5) == before


def test_equal_texts_are_encoded_once(tmp_path: Path, starter: TwinEncoder) -> None:
    calls: Progress = []
    some = [Document("1", "b c", "a"), Document("2", "c", "a b"), Document("3", "a b c"), Document("4", "a  b c")]
    Retriever.build(tmp_path / "i", some, starter, progress=note(calls)).close()
    assert calls == [(0, 2), (2, 2)]


def test_only_new_texts_are_encoded(tmp_path: Path, documents: list[Document], starter: TwinEncoder) -> None:
    calls: Progress = []
    with Retriever.build(tmp_path / "i", documents, starter) as retriever:
        assert retriever.upsert(documents, note(calls)) == ChangeReport(0, 0, 30, 0, 0, 30, 1)
        assert retriever.index.info().commit == 1
        other = [Document(d.id, d.text, d.title, {"n": "other", "m": {"a": 1, "b": 2}}) for d in documents]
        assert retriever.upsert(other, note(calls)) == ChangeReport(0, 30, 0, 0, 0, 30, 1)
        turned = [Document(d.id, d.text, d.title, {"m": {"b": 2, "a": 1}, "n": "other"}) for d in documents]
        assert retriever.upsert(turned, note(calls)) == ChangeReport(0, 0, 30, 0, 0, 30, 1)
        assert calls == []
        assert retriever.search(documents[0].full_text, 1)[0].metadata == other[0].metadata
        new = [Document("d0", "new words"), other[1], Document("e", documents[2].full_text)]
        assert retriever.upsert(new, note(calls)) == ChangeReport(1, 1, 1, 0, 0, 31, 1)
        assert calls == [(0, 1), (1, 1)]


IDS = st.sampled_from(["a", "b", "c", "1", "01", " a"])
WORDS = st.sampled_from(["red apple", "green pear", "fast train", "slow boat", "cold winter"])
DOCUMENTS = st.lists(
    st.builds(Document, id=IDS, text=WORDS, metadata=st.fixed_dictionaries({"n": st.integers(0, 1)})),
    max_size=4,
    unique_by=lambda document: document.id,
)
COMMANDS = st.lists(
    st.tuples(st.just("upsert"), DOCUMENTS) | st.tuples(st.just("delete"), st.lists(IDS, max_size=3, unique=True)),
    min_size=1,
    max_size=6,
)


def expected_of_upsert(oracle: dict[str, Document], documents: list[Document]) -> tuple[int, int, int]:
    known = [document for document in documents if document.id in oracle]
    unchanged = sum(oracle[document.id] == document for document in known)
    return len(documents) - len(known), len(known) - unchanged, unchanged


@given(first=DOCUMENTS, commands=COMMANDS)
@settings(max_examples=25, deadline=None)
def test_any_sequence_of_changes_leaves_what_a_dictionary_would_hold(
    starter: TwinEncoder, first: list[Document], commands: list[tuple[str, list[Document] | list[str]]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        options = BuildOptions(tail_limit=2, tail_share=0.0)
        with Retriever.build(Path(folder, "i"), first, starter, options) as retriever:
            oracle = {document.id: document for document in first}
            for _, given_ in commands:
                apply_to_both(retriever, oracle, given_)
                hold_alike(retriever, oracle)
        with Retriever.open(Path(folder, "i"), starter) as reopened:
            hold_alike(reopened, oracle)


def apply_to_both(retriever: Retriever, oracle: dict[str, Document], given_: list[Document] | list[str]) -> None:
    documents = [one for one in given_ if isinstance(one, Document)]
    ids = [one for one in given_ if isinstance(one, str)]
    if ids:
        report = retriever.delete(ids)
        assert report == DeleteReport(sum(one in oracle for one in ids), sum(one not in oracle for one in ids))
        for identifier in ids:
            oracle.pop(identifier, None)
        return
    expected = expected_of_upsert(oracle, documents)
    oracle.update({document.id: document for document in documents})
    changes = retriever.upsert(documents)
    assert (changes.added, changes.changed, changes.unchanged, changes.documents) == (*expected, len(oracle))


def hold_alike(retriever: Retriever, oracle: dict[str, Document]) -> None:
    assert len(retriever) == len(oracle)
    assert contents(retriever) == oracle
    for text in ("red apple", "slow boat"):
        hits = retriever.search(text, 10)
        assert {hit.id: (hit.text, hit.metadata) for hit in hits} == {
            identifier: (document.text, document.metadata) for identifier, document in oracle.items()
        }
        holders = sorted((one.id for one in oracle.values() if one.text == text), reverse=True)
        cosine = retriever.search(text, 10, SearchOptions(rerank=False))
        assert [hit.id for hit in cosine][: len(holders)] == holders


@pytest.fixture
def bad_corpus(tmp_path: Path) -> Path:
    path = tmp_path / "bad.jsonl"
    rows = [f'{{"_id": "d{n}", "text": "text {n}"}}' for n in range(40)]
    path.write_text("\n".join([*rows, '{"_id": "d41"}']))
    return path


def test_a_bad_row_leaves_no_folder_behind(tmp_path: Path, bad_corpus: Path, starter: TwinEncoder) -> None:
    calls: Progress = []
    with pytest.raises(InvalidInputError, match=r"bad\.jsonl:41: the field 'text' is missing"):
        Retriever.build(tmp_path / "i", read_documents([bad_corpus]), starter, progress=note(calls))
    with pytest.raises(DuplicateIdError, match=r"^id 'd1' comes twice in one command: keep one of them$"):
        Retriever.build(tmp_path / "i", [Document("d1", "x"), Document("d1", "y")], starter)
    with pytest.raises(InvalidInputError, match=r"^documents must be Document records, not an object$"):
        Retriever.build(tmp_path / "i", [{"id": "1"}], starter)  # type: ignore[list-item]
    assert not (tmp_path / "i").exists()
    assert calls == []


def test_a_bad_row_leaves_the_index_as_it_was(
    tmp_path: Path, bad_corpus: Path, documents: list[Document], starter: TwinEncoder
) -> None:
    with Retriever.build(tmp_path / "i", documents, starter) as retriever:
        before = retriever.index.info(), contents(retriever)
        with pytest.raises(InvalidInputError, match=r"bad\.jsonl:41: "):
            retriever.upsert(read_documents([bad_corpus]))
        with pytest.raises(InvalidInputError, match=r"bad\.jsonl:41: "):
            Retriever.build(tmp_path / "i", read_documents([bad_corpus]), starter, overwrite=True)
        with pytest.raises(DuplicateIdError):
            retriever.upsert([Document("d1", "x"), Document("d1", "y")])
        with pytest.raises(DuplicateIdError):
            retriever.delete(["d1", "d2", "d1"])
        with pytest.raises(InvalidInputError, match=r"^ids must be a list, not one string: use \['d1'\]$"):
            retriever.delete("d1")
        assert (retriever.index.info(), contents(retriever)) == before


def test_one_writer_at_a_time(tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.build(tmp_path / "i", [Document("1", "x")], starter) as retriever:
        with retriever.index.writer(), pytest.raises(IndexLockedError):
            retriever.upsert([Document("2", "y")])
        assert retriever.upsert([Document("2", "y")]).added == 1


def test_a_corpus_is_read_before_the_index_is_locked(tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.build(tmp_path / "i", [Document("1", "x"), Document("2", "y")], starter) as retriever:

        def corpus() -> Iterator[Document]:
            yield Document("3", "z")
            with Retriever.open(tmp_path / "i", starter) as other:
                assert other.delete(["1"]).removed == 1

        assert retriever.upsert(corpus()).documents == 2
        assert sorted(contents(retriever)) == ["2", "3"]


def test_a_closed_retriever_says_so(tmp_path: Path, starter: TwinEncoder) -> None:
    retriever = Retriever.build(tmp_path / "i", [Document("1", "x")], starter)
    retriever.close()
    with pytest.raises(TwinBertError, match="closed"):
        retriever.search("x")


def test_threads_reach_the_model_that_is_loaded(
    tmp_path: Path, starter: TwinEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    Retriever.build(tmp_path / "i", [Document("1", "x")], starter).close()
    asked: list[int] = []

    def load(source: str, *, threads: int) -> TwinEncoder:
        asked.append(threads)
        return starter

    monkeypatch.setattr(TwinEncoder, "from_pretrained", load)
    Retriever.open(tmp_path / "i").close()
    Retriever.open(tmp_path / "i", threads=3).close()
    assert asked == [1, 3]


def test_an_index_that_is_there_is_refused_before_the_corpus_is_read(tmp_path: Path, starter: TwinEncoder) -> None:
    Retriever.build(tmp_path / "i", [Document("1", "x")], starter).close()

    unread = map(pytest.fail, ["the corpus was read"])
    with pytest.raises(IndexExistsError, match=r"holds an index already: say overwrite to replace it$"):
        Retriever.build(tmp_path / "i", unread, starter)


def test_overwriting_replaces_every_document(tmp_path: Path, documents: list[Document], starter: TwinEncoder) -> None:
    Retriever.build(tmp_path / "i", documents, starter).close()
    with Retriever.build(tmp_path / "i", [*documents[28:], Document("new", "x")], starter, overwrite=True) as built:
        assert built.last_report == ChangeReport(1, 0, 2, 28, 0, 3, 2)
        assert sorted(contents(built)) == ["d28", "d29", "new"]


def test_a_build_that_was_stopped_is_resumed_where_it_stood(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinbert.retrieval.plan.ENCODE_ROWS", 7)

    def stop(done: int, _: int) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retriever.build(tmp_path / "i", documents, starter, progress=stop)
    with pytest.raises(IndexUnfinishedError):
        Retriever.open(tmp_path / "i")
    with pytest.raises(IndexUnfinishedError):
        Retriever.build(tmp_path / "i", documents, starter)
    calls: Progress = []
    with Retriever.build(tmp_path / "i", documents, starter, resume=True, progress=note(calls)) as retriever:
        assert calls == [(0, 16), (7, 16), (14, 16), (16, 16)]
        assert contents(retriever) == {document.id: document for document in documents}


def test_a_model_of_another_space_is_refused(
    tmp_path: Path, starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    Retriever.build(tmp_path / "i", [Document("1", "x")], starter).close()
    folder = variant(space="0" * 32)
    with pytest.raises(SpaceMismatchError) as caught:
        Retriever.open(tmp_path / "i", folder)
    assert str(caught.value) == (
        f"the model {folder} answers in the vector space {'0' * 32}, {tmp_path / 'i'} holds the space "
        f"{starter.space} of starter: open it with that model, "
        "or encode it anew with `twinbert index reencode`"
    )


def test_another_model_of_the_same_space_may_answer(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    with Retriever.build(tmp_path / "i", documents, starter) as built:
        folder = variant(head="none")
        with Retriever.open(tmp_path / "i", folder) as opened:
            assert opened.encoder.source == str(folder)
            cosine = SearchOptions(weights=Weights(lexical=0, segments=0, head=0))
            assert opened.search("merge dictionaries", options=cosine) == built.search(
                "merge dictionaries", options=cosine
            )


def test_an_index_rebuilt_with_another_model_is_not_asked_with_the_old_one(
    tmp_path: Path, documents: list[Document], starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    folder = variant(space="0" * 32)
    with Retriever.build(tmp_path / "i", documents, starter) as old:
        assert len(old.search("merge", 3)) == 3
        calls: Progress = []
        with Retriever.build(tmp_path / "i", documents, folder, overwrite=True, progress=note(calls)) as new:
            assert calls == [(0, 30), (30, 30)]
            assert len(new.search("merge", 3)) == 3
        with pytest.raises(SpaceMismatchError):
            old.search("merge", 3)
        with pytest.raises(SpaceMismatchError):
            old.upsert(documents[:1])
    with Retriever.open(tmp_path / "i") as opened:
        assert opened.encoder.source == str(folder)


def test_an_index_rebuilt_in_the_middle_of_a_search_is_not_answered_from(
    tmp_path: Path,
    documents: list[Document],
    starter: TwinEncoder,
    variant: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = variant(space="0" * 32)
    with Retriever.build(tmp_path / "i", documents, starter) as retriever:
        search = retriever.index.search

        def overtaken(vectors: NDArray[np.float32], k: int, *asked: object) -> Candidates:
            Retriever.build(tmp_path / "i", documents, folder, overwrite=True).close()
            return search(vectors, k, *asked)

        monkeypatch.setattr(retriever.index, "search", overtaken)
        with pytest.raises(SpaceMismatchError):
            retriever.search("merge", 3)


def test_empty_documents_can_be_kept(tmp_path: Path, starter: TwinEncoder) -> None:
    empty = [Document("471", ""), Document("995", "", "\n", {"n": 1})]
    with Retriever.build(tmp_path / "i", [*empty, Document("1", "boundary layer")], starter) as retriever:
        assert retriever.search("boundary layer", 3)[0].id == "1"
        assert retriever.get(["995", "471"]) == [empty[1], empty[0]]


def test_what_is_no_index_is_refused(tmp_path: Path, starter: TwinEncoder) -> None:
    with pytest.raises(IndexNotFoundError):
        Retriever.open(tmp_path / "none", starter)


def index_made_by_others(path: Path, starter: TwinEncoder, model: str) -> None:
    schema = IndexSchema(starter.space, starter.dimension, model)
    with Index.create(path, schema) as index, index.writer(replace=True) as writer:
        writer.put([Record("1", b"k" * 32, "not ours")])
        writer.put_vectors([b"k" * 32], np.eye(1, starter.dimension, dtype=np.float32))
        writer.commit()


def test_an_index_that_was_not_built_here_is_named(tmp_path: Path, starter: TwinEncoder) -> None:
    index_made_by_others(tmp_path / "i", starter, "somewhere")
    with pytest.raises(InvalidInputError, match="does not say which model it was built with: name the model"):
        Retriever.open(tmp_path / "i")
    with Retriever.open(tmp_path / "i", starter) as retriever:
        with pytest.raises(
            IndexDamagedError, match=r"^document '1' cannot be read from the index .*: build the index again"
        ):
            retriever.search("x")
        assert [hit.id for hit in retriever.search_many(["x"], payloads=False)[0].hits] == ["1"]
