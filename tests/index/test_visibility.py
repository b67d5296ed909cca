"""What others see: nothing before a commit, everything after it, one writer at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from index_world import SCHEMA, answers, build, change, contents, encode_pending, expected, key, records, vectors
from twinbert.errors import (
    IndexExistsError,
    IndexFolderError,
    IndexLockedError,
    IndexNotFoundError,
    IndexUnfinishedError,
    InvalidInputError,
)
from twinbert.index import BuildOptions, Index, IndexSchema

TEXTS = {"a": "apple", "b": "pear", "c": "fig"}
OTHER = IndexSchema(space="other", dimension=5, model="another")


def test_another_open_index_sees_a_commit_at_once(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, Index.open(tmp_path / "x") as other:
        assert answers(other, "plum", 4) == expected(TEXTS, "plum", 4)
        change(index, {"d": "plum"}, delete=["a"])
        now = {"b": "pear", "c": "fig", "d": "plum"}
        assert answers(other, "plum", 4) == expected(now, "plum", 4)
        assert (contents(other), len(other)) == (now, 3)
        other.compact()
        assert answers(index, "apple", 4) == expected(now, "apple", 4)


def test_leaving_without_commit_changes_nothing_visible(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        before = index.info()
        with index.writer() as writer:
            writer.put(records({"a": "quince"}))
            writer.delete(["b"])
            encode_pending(writer)
            assert contents(index) == TEXTS
        assert (contents(index), index.info().commit) == (TEXTS, before.commit)


def fail_while_writing(index: Index) -> None:
    with index.writer() as writer:
        writer.put(records({"a": "quince"}))
        encode_pending(writer)
        raise ZeroDivisionError


def test_an_exception_in_the_block_changes_nothing_visible(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        with pytest.raises(ZeroDivisionError):
            fail_while_writing(index)
        assert contents(index) == TEXTS
        assert change(index, {"a": "quince"}).changed == 1


def test_a_failing_iterator_stages_nothing(tmp_path: Path) -> None:
    def failing() -> object:
        yield from records({"d": "plum", "e": "date"})
        raise InvalidInputError("a bad row", path="corpus.jsonl", line=3)

    with build(tmp_path / "x", TEXTS) as index, index.writer() as writer:
        with pytest.raises(InvalidInputError, match=r"corpus\.jsonl:3: a bad row"):
            writer.put(failing())  # type: ignore[arg-type]
        assert writer.commit().added == 0
        assert contents(index) == TEXTS


def test_a_commit_that_fails_while_publishing_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with build(tmp_path / "x", TEXTS) as index:
        with monkeypatch.context() as patch:
            patch.setattr("twinbert.index.layout.sync", full)
            with pytest.raises(IndexFolderError, match=r"cannot be written .No space left on device.: free space"):
                change(index, {"d": "plum"}, replace=True)
        assert answers(index, "plum", 4) == expected(TEXTS, "plum", 4)
        assert (index.compact(), index.verify()) == (2, [])


def test_a_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        with index.writer(), pytest.raises(IndexLockedError, match="is being written by another process"):
            index.writer().__enter__()
        with index.writer(), pytest.raises(IndexLockedError):
            Index.create(tmp_path / "x", SCHEMA, overwrite=True)
        assert change(index, {"d": "plum"}).added == 1


def test_a_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    program = "import sys; from twinbert.index import Index; Index.open(sys.argv[1]).compact()"
    with build(tmp_path / "x", TEXTS) as index, index.writer():
        done = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "x")], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert "IndexLockedError" in done.stderr


def test_a_forked_child_does_not_keep_the_lock_of_a_dead_parent(tmp_path: Path) -> None:
    program = """
import os, sys, time
from twinbert.index import Index
writer = Index.open(sys.argv[1]).writer()
writer.__enter__()
child = os.fork()
if child == 0:
    print(os.getpid(), flush=True)
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    with build(tmp_path / "x", TEXTS) as index:
        parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "x")], stdout=subprocess.PIPE)
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            assert parent.wait() == -signal.SIGKILL
            assert change(index, {"d": "plum"}).added == 1
        finally:
            os.kill(child, signal.SIGKILL)
            parent.stdout.close()


def test_one_key_for_vectors_of_two_dimensions_is_refused(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        new = Index.create(tmp_path / "x", OTHER, overwrite=True)
        with pytest.raises(InvalidInputError, match="names a vector of 8 dimensions, the index has 5"):
            change(new, {"a": "apple"}, replace=True)
        assert contents(index) == TEXTS


def test_an_overwritten_index_answers_until_the_commit(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        new = Index.create(tmp_path / "x", OTHER, BuildOptions(flat_below=7), overwrite=True)
        with new.writer(replace=True) as writer:
            writer.put(records({"z": "lemon"}, space="other"))
            assert encode_pending(writer, dimension=5) == 1
            assert answers(index, "plum", 4) == expected(TEXTS, "plum", 4)
            assert (index.schema, index.options) == (SCHEMA, BuildOptions())
            report = writer.commit()
        assert (report.added, report.removed, report.documents) == (1, 3, 1)
        assert (index.schema, index.options) == (OTHER, BuildOptions(flat_below=7))
        assert contents(index) == {"z": "lemon"}
        assert index.search(vectors(["lemon"], dimension=5), 2).scores[0, 0] == pytest.approx(1)
        assert index.verify() == []


def test_an_overwriting_build_that_is_given_up_leaves_the_old_one(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        new = Index.create(tmp_path / "x", OTHER, overwrite=True)
        with new.writer(replace=True) as writer:
            writer.put(records({"z": "lemon"}, space="other"))
            encode_pending(writer, dimension=5)
        change(index, {"d": "plum"}, compact=True)
        assert index.info().generation == 2
        assert answers(index, "plum", 5) == expected(TEXTS | {"d": "plum"}, "plum", 5)
        with Index.create(tmp_path / "x", OTHER, resume=True).writer(replace=True) as writer:
            writer.put(records({"z": "lemon"}, space="other"))
            assert writer.pending_count() == 0


def test_resume_reuses_stored_vectors_and_overwrite_does_not(tmp_path: Path) -> None:
    for _ in range(2):
        with Index.create(tmp_path / "x", SCHEMA, overwrite=True).writer(replace=True) as writer:
            writer.put(records(TEXTS))
            assert writer.pending_count() == 3
            writer.put_vectors([key("apple"), key("fig")], vectors(["apple", "fig"]))
    with pytest.raises(IndexUnfinishedError, match="unfinished build: say resume to go on"):
        Index.create(tmp_path / "x", SCHEMA)
    with pytest.raises(IndexUnfinishedError, match="unfinished build"):
        Index.open(tmp_path / "x")
    index = Index.create(tmp_path / "x", SCHEMA, resume=True)
    assert index.schema == SCHEMA
    with pytest.raises(IndexUnfinishedError):
        len(index)
    with index.writer(replace=True) as writer:
        writer.put(records(TEXTS))
        assert [text for batch in writer.pending(9) for _, text in batch] == ["pear"]
        encode_pending(writer)
        assert writer.commit().added == 3
    assert contents(index) == TEXTS


def test_an_index_is_not_replaced_unasked(tmp_path: Path) -> None:
    build(tmp_path / "x", TEXTS).close()
    for resume in (False, True):
        with pytest.raises(IndexExistsError, match="holds an index already: say overwrite"):
            Index.create(tmp_path / "x", SCHEMA, resume=resume)
    assert contents(Index.open(tmp_path / "x")) == TEXTS


def test_a_folder_of_other_things_is_never_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(IndexExistsError, match="holds other files and no index"):
            Index.create(tmp_path, SCHEMA, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(IndexFolderError, match="cannot be made a folder"):
        Index.create(tmp_path / "notes.txt", SCHEMA)


@pytest.mark.parametrize("name", ["nowhere", "empty", "file"])
def test_what_is_not_an_index_is_not_opened(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("text")
    with pytest.raises(IndexNotFoundError, match=f"{name} is not an index: build one there first"):
        Index.open(tmp_path / name)
