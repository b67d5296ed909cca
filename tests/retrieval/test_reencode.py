"""Another model: encoded beside the index that goes on answering, switched at once, undone by a rollback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from twinbert.encoders import TwinEncoder
from twinbert.errors import (
    IndexDamagedError,
    IndexLockedError,
    IndexNotFoundError,
    IndexUnfinishedError,
    SpaceMismatchError,
)
from twinbert.index import BuildOptions, ChangeReport, Index, IndexSchema, Record
from twinbert.retrieval import Document, Retriever

OTHER = "0" * 32
OPTIONS = BuildOptions(index_key="HNSW8", target_k=5, history=7)
Calls = list[tuple[int, int]]


@pytest.fixture
def folder(tmp_path: Path, documents: list[Document], starter: TwinEncoder) -> Path:
    Retriever.build(tmp_path / "i", documents, starter, OPTIONS).close()
    return tmp_path / "i"


def contents(retriever: Retriever) -> list[Document | None]:
    return retriever.get(list(retriever.index.ids()))


def by_id(documents: list[Document]) -> list[Document]:
    return sorted(documents, key=lambda document: document.id)


def test_the_old_model_answers_until_the_new_one_is_there(
    folder: Path, documents: list[Document], starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    calls: Calls = []
    with Retriever.open(folder, starter) as old:
        before = old.search("merge dictionaries", 5)

        def look(done: int, total: int) -> None:
            calls.append((done, total))
            assert old.search("merge dictionaries", 5) == before
            with pytest.raises(IndexLockedError):
                old.delete(["d1"])

        with Retriever.reencode(folder, variant(space=OTHER), progress=look) as new:
            assert calls == [(0, 30), (30, 30)]
            assert new.last_report == ChangeReport(0, 30, 0, 0, 0, 30, 2)
            assert (new.index.schema.space, new.index.options) == (OTHER, OPTIONS)
            assert contents(new) == by_id(documents)
            assert [hit.id for hit in new.search("merge dictionaries", 5)] == [hit.id for hit in before]
            tuning = new.index.info().tuning
            assert tuning is not None
            assert (tuning.queries, tuning.proxy) == (30, False)
            assert new.index.verify() == []


READER = """
import sys
from twinbert import Retriever
from twinbert.errors import SpaceMismatchError
with Retriever.open(sys.argv[1]) as retriever:
    print(retriever.search("merge dictionaries", 1)[0].id, flush=True)
    sys.stdin.readline()
    for attempt in (lambda: retriever.search("merge dictionaries"), lambda: retriever.upsert([])):
        try:
            attempt()
        except SpaceMismatchError as error:
            print(error, flush=True)
"""


def test_another_process_with_the_old_model_is_told(folder: Path, variant: Callable[..., Path]) -> None:
    model = variant(space=OTHER)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline().startswith("d")
    Retriever.reencode(folder, model).close()
    out, _ = reader.communicate("\n", timeout=60)
    assert reader.returncode == 0
    assert out.splitlines() == 2 * [
        f"the model starter answers in the vector space {TwinEncoder.from_pretrained().space}, {folder} holds the "
        f"space {OTHER} of {model}: open it with that model, or encode it anew with `twinbert index reencode`"
    ]


def test_options_may_be_given(folder: Path, variant: Callable[..., Path]) -> None:
    options = BuildOptions(vector_type="fp16")
    queries = ["hash a password"]
    with Retriever.reencode(folder, variant(space=OTHER), options, tune_queries=queries) as new:
        assert (new.index.options, new.index.info().index_key) == (options, "Flat")


def test_a_stopped_reencoding_changes_nothing_and_is_resumed(
    folder: Path, documents: list[Document], variant: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinbert.retrieval.plan.ENCODE_ROWS", 7)
    model = variant(space=OTHER)

    def stop(done: int, _: int) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Retriever.reencode(folder, model, progress=stop)
    with Retriever.open(folder) as retriever:
        assert (retriever.encoder.source, contents(retriever)) == ("starter", by_id(documents))
        assert retriever.upsert([Document("new", "ride a bicycle")]).added == 1
        assert retriever.index.verify() == []
    calls: Calls = []
    with Retriever.reencode(folder, model, resume=True, progress=lambda *call: calls.append(call)) as new:
        assert calls == [(0, 17), (7, 17), (14, 17), (17, 17)]
        assert len(new) == 31
        assert new.search("cycling", 1)[0].id == "new"
        assert new.index.verify() == []


def test_without_resume_a_stopped_reencoding_begins_again(
    folder: Path, variant: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinbert.retrieval.plan.ENCODE_ROWS", 7)
    with pytest.raises(ZeroDivisionError):
        Retriever.reencode(folder, variant(space=OTHER), progress=lambda done, _: done and 1 // 0)
    calls: Calls = []
    Retriever.reencode(folder, folder.parent / "variant", progress=lambda *call: calls.append(call)).close()
    assert calls[0] == (0, 30)


def test_a_rollback_brings_the_old_model_back(
    folder: Path, documents: list[Document], starter: TwinEncoder, variant: Callable[..., Path]
) -> None:
    with Retriever.open(folder, starter) as old:
        before = old.search("merge dictionaries", 5)
        with Retriever.reencode(folder, variant(space=OTHER)) as new:
            new.upsert([Document("new", "ride a bicycle")])
            report = new.index.rollback(2)
            assert (report.added, report.changed, report.removed, report.documents) == (0, 30, 1, 30)
            with pytest.raises(SpaceMismatchError):
                new.search("cycling")
        assert old.search("merge dictionaries", 5) == before
        assert contents(old) == by_id(documents)
        assert old.index.verify() == []
    with Retriever.open(folder) as opened:
        assert opened.encoder.source == "starter"


def test_the_same_space_encodes_nothing(folder: Path, variant: Callable[..., Path]) -> None:
    calls: Calls = []
    model = variant(head="none")
    with Retriever.reencode(folder, model, progress=lambda *call: calls.append(call)) as new:
        assert new.last_report == ChangeReport(0, 0, 30, 0, 0, 30, 2)
        assert calls == []
    with Retriever.open(folder) as opened:
        assert opened.encoder.source == str(model)


def test_documents_that_no_retriever_put_leave_the_index_as_it_was(tmp_path: Path, starter: TwinEncoder) -> None:
    schema = IndexSchema("own", 2, "mine")
    with Index.create(tmp_path / "i", schema) as index, index.writer(replace=True) as writer:
        writer.put([Record("1", b"k" * 32, "not ours")])
        writer.put_vectors([b"k" * 32], starter.encode_queries(["x"])[:, :2] * 0 + [0.6, 0.8])
        writer.commit()
    with pytest.raises(IndexDamagedError, match="document '1' cannot be read from the index"):
        Retriever.reencode(tmp_path / "i", starter)
    with Index.open(tmp_path / "i") as index:
        assert (index.schema, len(index)) == (schema, 1)


def test_there_must_be_an_index(tmp_path: Path, starter: TwinEncoder) -> None:
    with pytest.raises(IndexNotFoundError):
        Retriever.reencode(tmp_path / "none", starter)
    assert not (tmp_path / "none").exists()
    with pytest.raises(ZeroDivisionError):
        Retriever.build(tmp_path / "i", [Document("1", "x")], starter, progress=lambda *_: 1 // 0)
    with pytest.raises(IndexUnfinishedError):
        Retriever.reencode(tmp_path / "i", starter)
