"""What goes wrong around a command: writers that cannot begin or tidy up, busy stores, forks, closed indexes."""

import fcntl
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from index_world import SCHEMA, build, change, contents
from twinbert.errors import IndexDamagedError, IndexFolderError, InvalidInputError
from twinbert.index import Index, layout


def open_files() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


TEXTS = {"a": "apple", "b": "pear", "c": "fig"}


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), apsw.FullError("disk is full")])
@pytest.mark.parametrize("step", ["tidy", "checkpoint"])
def test_a_committed_change_is_reported_though_tidying_up_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, step: str
) -> None:
    def fail(*_: object) -> None:
        raise error

    with build(tmp_path / "x", TEXTS) as index:
        with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(f"twinbert.index.session.{step}", fail)
            assert change(index, {"d": "plum"}, compact=True).added == 1
        assert "the change is committed, tidying up is left to the next" in caplog.text
        assert contents(index) == TEXTS | {"d": "plum"}
        assert change(index, delete=["d"]).removed == 1
        assert [path.name for path in (tmp_path / "x" / "segments").iterdir()] == ["2"]


def test_a_commit_does_not_wait_for_somebody_who_reads(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        other = apsw.Connection(str(tmp_path / "x" / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM documents").fetchall()
        start = time.perf_counter()
        change(index, {"d": "plum"})
        assert time.perf_counter() - start < 2
        other.close()


def log_size(folder: Path) -> int:
    log = folder / "store.sqlite-wal"
    return log.stat().st_size if log.exists() else 0


def test_the_log_is_emptied_when_an_index_that_wrote_is_closed(tmp_path: Path) -> None:
    with Index.open(build(tmp_path / "x", TEXTS).path) as other:
        with Index.open(tmp_path / "x") as index:
            change(index, {"d": "plum"})
            assert log_size(tmp_path / "x") > 0
        assert log_size(tmp_path / "x") == 0
        assert contents(other) == TEXTS | {"d": "plum"}


def test_who_reads_alone_leaves_the_log_to_who_writes(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        change(index, {"d": "plum"})
        Index.open(tmp_path / "x").close()
        assert log_size(tmp_path / "x") > 0
        another = Index.open(tmp_path / "x")
        with another.writer():
            index.close()
            assert log_size(tmp_path / "x") > 0
        another.close()
        assert log_size(tmp_path / "x") == 0


def test_a_long_log_is_emptied_by_the_command_that_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        change(index, {"d": "plum"})
        monkeypatch.setattr("twinbert.index.session.LOG_LIMIT", 10_000)
        change(index, {"e": "plum"})
        assert log_size(tmp_path / "x") == 0


def test_closing_says_that_the_log_could_not_be_emptied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise apsw.FullError("disk is full")

    index = build(tmp_path / "x", TEXTS)
    change(index, {"d": "plum"})
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr("twinbert.index.session.checkpoint", fail)
        index.close()
    assert "the log could not be emptied, which is left to the next: disk is full" in caplog.text
    with Index.open(tmp_path / "x") as opened:
        assert contents(opened) == TEXTS | {"d": "plum"}


def test_searches_go_on_while_verify_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with build(tmp_path / "x", TEXTS) as index, ThreadPoolExecutor(1) as pool:
        counts = []

        def find_problems(*_: object) -> list[object]:
            counts.append(pool.submit(len, index).result(timeout=5))
            return []

        monkeypatch.setattr("twinbert.index.reader.find_problems", find_problems)
        assert index.verify() == []
        assert counts == [3]


def test_a_busy_store_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinbert.index.store.BUSY_MS", 10)
    with build(tmp_path / "x", TEXTS) as index:
        other = apsw.Connection(str(tmp_path / "x" / "store.sqlite"))
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(IndexFolderError, match=r"store\.sqlite cannot be used now .*locked.*: try again"):
            change(index, {"d": "plum"})
        other.close()
        assert contents(index) == TEXTS


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = build(tmp_path / "x", TEXTS)
    index.close()
    for ask in (lambda: len(index), lambda: index.get(["a"]), index.verify, lambda: index.stored([1])):
        with pytest.raises(InvalidInputError, match="was closed here: open it again"):
            ask()


def test_a_writer_that_cannot_begin_lets_go_of_its_files(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        (tmp_path / "x" / "segments" / "1" / "rows.npy").unlink()
        before = open_files()
        writer = index.writer()
        with pytest.raises(IndexDamagedError, match=r"rows\.npy is missing"):
            writer.__enter__()
        assert open_files() == before


def test_a_forked_child_leaves_its_writer_without_a_fault(tmp_path: Path) -> None:
    program = """
import os, sys
from twinbert.index import Index
with Index.open(sys.argv[1]).writer() as writer:
    child = os.fork()
    if child == 0:
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    writer.delete(["a"])
    print(writer.commit().removed)
"""
    build(tmp_path / "x", TEXTS).close()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x")], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    with build(tmp_path / "x", TEXTS) as index:
        before = open_files()
        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(IndexFolderError, match=r"cannot be locked .Operation not supported.: keep the index on"):
            index.compact()
        assert open_files() == before


def test_folders_above_an_index_are_made_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(layout, "sync", synced.append)
    Index.create(tmp_path / "a" / "b" / "x", SCHEMA).close()
    assert synced[:3] == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]


def test_hidden_files_do_not_make_a_folder_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / ".gitkeep").touch()
    with build(tmp_path, TEXTS) as index:
        assert contents(index) == TEXTS


def test_a_volume_that_knows_no_full_sync_is_synced_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        raise OSError(45, "Operation not supported")

    synced = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", unknown)
    monkeypatch.setattr(os, "fsync", synced.append)
    layout.sync(tmp_path)
    assert len(synced) == 1
