"""Syncing with a corpus, plans before anything is encoded, and undoing, through the retriever."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twinbert.encoders import TwinEncoder
from twinbert.errors import IndexLockedError, InvalidInputError, SpaceMismatchError
from twinbert.index import ChangePlan, ChangeReport
from twinbert.retrieval import Document, Retriever

FIRST = [Document("a", "red apple"), Document("b", "green pear"), Document("c", "fast train", metadata={"n": 1})]
SECOND = [Document("a", "red apple"), Document("c", "fast train", metadata={"n": 2}), Document("d", "slow boat")]
Progress = list[tuple[int, int]]


def note(calls: Progress) -> Callable[[int, int], None]:
    return lambda done, total: calls.append((done, total))


def contents(retriever: Retriever) -> list[Document | None]:
    return retriever.get(retriever.index.ids())


@pytest.fixture
def retriever(tmp_path: Path, starter: TwinEncoder) -> Retriever:
    return Retriever.build(tmp_path / "i", FIRST, starter)


def test_a_sync_leaves_exactly_the_corpus_and_encodes_what_is_new(retriever: Retriever) -> None:
    calls: Progress = []
    plans: list[ChangePlan] = []

    def planned(plan: ChangePlan) -> None:
        assert calls == []
        assert contents(retriever) == FIRST
        plans.append(plan)

    report = retriever.sync(iter(SECOND), note(calls), planned=planned)
    assert report == retriever.last_report == ChangeReport(1, 1, 1, 1, 0, 3, 1)
    assert plans == [ChangePlan(added=1, changed=1, unchanged=1, removed=1, missing=0, to_encode=1)]
    assert calls == [(0, 1), (1, 1)]
    assert contents(retriever) == SECOND
    assert retriever.search("slow boat", 1)[0].id == "d"


def test_metadata_alone_cost_no_encoding(retriever: Retriever) -> None:
    calls: Progress = []
    labelled = [Document(one.id, one.text, one.title, {"label": one.id}) for one in FIRST]
    assert retriever.sync(labelled, note(calls)).changed == 3
    assert calls == []
    assert contents(retriever) == labelled


def test_a_dry_run_gives_the_plan_and_does_nothing(retriever: Retriever) -> None:
    assert retriever.sync(SECOND, dry_run=True) == ChangePlan(1, 1, 1, 1, 0, 1)
    assert retriever.upsert(SECOND, dry_run=True) == ChangePlan(1, 1, 1, 0, 0, 1)
    assert retriever.sync([], dry_run=True) == ChangePlan(0, 0, 0, 3, 0, 0)
    assert (contents(retriever), len(retriever.history())) == (FIRST, 1)


def test_what_a_plan_s_reader_raises_stops_the_command(retriever: Retriever) -> None:
    def refuse(plan: ChangePlan) -> None:
        raise InvalidInputError(f"{plan.removed} is too many")

    with pytest.raises(InvalidInputError, match="1 is too many"):
        retriever.sync(SECOND, planned=refuse)
    assert contents(retriever) == FIRST


def test_an_empty_corpus_removes_nothing_unless_it_may(retriever: Retriever) -> None:
    message = (
        "^the corpus is empty, and a sync would remove all 3 documents: check its source, or allow it to be empty$"
    )
    with pytest.raises(InvalidInputError, match=message):
        retriever.sync([])
    assert contents(retriever) == FIRST
    assert retriever.sync([], allow_empty=True).removed == 3
    assert retriever.sync([]) == ChangeReport(0, 0, 0, 0, 0, 0, 1)


def test_a_sync_is_undone(retriever: Retriever) -> None:
    retriever.sync(SECOND)
    assert retriever.rollback() == retriever.last_report == ChangeReport(1, 1, 1, 1, 0, 3, 1)
    assert contents(retriever) == FIRST
    assert retriever.search("green pear", 1)[0].id == "b"
    assert [commit.kind for commit in retriever.history()] == ["rollback", "sync", "build"]
    assert retriever.gc(0).commits == 3
    with pytest.raises(InvalidInputError, match="none can be undone"):
        retriever.rollback()


def test_back_where_another_model_had_encoded_another_model_is_asked_for(
    retriever: Retriever, variant: Callable[..., Path]
) -> None:
    path, folder = retriever.index.path, variant(space="0" * 32)
    with Retriever.build(path, SECOND, folder, overwrite=True) as new:
        assert new.rollback().documents == 3
        with pytest.raises(SpaceMismatchError):
            new.search("green pear")
    with Retriever.open(path) as opened:
        assert contents(opened) == FIRST
        assert opened.search("green pear", 1)[0].id == "b"
        assert opened.index.verify() == []


def test_every_change_waits_for_who_writes(retriever: Retriever) -> None:
    changes: list[Callable[[], object]] = [
        lambda: retriever.upsert(SECOND, wait=0.01),
        lambda: retriever.sync(SECOND, wait=0.01),
        lambda: retriever.delete(["a"], wait=0.01),
        lambda: retriever.rollback(wait=0.01),
        lambda: retriever.gc(0, wait=0.01),
        lambda: Retriever.build(retriever.index.path, SECOND, retriever.encoder, overwrite=True, wait=0.01),
    ]
    with retriever.index.writer():
        for change in changes:
            with pytest.raises(IndexLockedError, match="waited 0.01 seconds, wait longer"):
                change()
    assert contents(retriever) == FIRST
