"""One writer at a time: who holds the lock is told, waiting ends when it is let go, and the file is never believed."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from index_world import SCHEMA, build, change, contents
from twinbert.errors import IndexLockedError, InvalidInputError
from twinbert.index import Index

TEXTS = {"a": "apple", "b": "pear"}
HOLDING = """
import sys, time
from twinbert.index import Index
sys.argv[0] = "/somewhere/nightly"
with Index.open(sys.argv[1]).writer():
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_writes_is_named_to_who_may_not(tmp_path: Path) -> None:
    build(tmp_path / "x", TEXTS).close()
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path / "x")], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"held\n"
        with Index.open(tmp_path / "x") as index:
            with pytest.raises(
                IndexLockedError,
                match=rf"x is being written by another process \(nightly, process {process.pid}, "
                r"since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\): try again later, or wait for it$",
            ):
                index.writer().__enter__()
            with pytest.raises(IndexLockedError, match=r"\): waited 0.1 seconds, wait longer$"):
                index.compact(wait=0.1)
            with pytest.raises(IndexLockedError, match="waited 0.1 seconds"):
                Index.create(tmp_path / "x", SCHEMA, overwrite=True, wait=0.1)
            process.kill()
            process.wait()
            assert change(index, {"c": "fig"}).added == 1
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    assert (tmp_path / "x" / "LOCK").read_bytes() == b""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", ""),
        (b"\xff\x00 no JSON", ""),
        (b'{"pid": "1"}', ""),
        (b"[" * 5_000, ""),
        (
            b'{"pid": 7, "host": "far\\u001b[31m", "command": "%s", "since": "now\\n"}' % (b"x" * 200),
            f" ({'x' * 64}, process 7 on far[31m, since now)",
        ),
    ],
)
def test_what_the_file_says_decides_nothing_and_is_printed_plainly(tmp_path: Path, text: bytes, told: str) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        (tmp_path / "x" / "LOCK").write_bytes(text)
        assert change(index, {"c": "fig"}).added == 1
        with index.writer():
            (tmp_path / "x" / "LOCK").write_bytes(text)
            with pytest.raises(IndexLockedError) as caught:
                index.writer().__enter__()
    name = tmp_path / "x"
    assert str(caught.value) == f"{name} is being written by another process{told}: try again later, or wait for it"


def test_a_writer_that_waits_goes_on_when_the_lock_is_free(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        holder = index.writer()
        holder.__enter__()
        timer = threading.Timer(0.2, holder.__exit__, (None, None, None))
        begun = time.monotonic()
        timer.start()
        # SQLite's connection belongs to no thread, so that the timer may close it.
        with index.writer(wait=30) as writer:
            waited = time.monotonic() - begun
            writer.delete(["a"])
            assert writer.commit().removed == 1
        timer.join()
        assert 0.1 < waited < 15
        assert contents(index) == {"b": "pear"}


def test_waiting_can_be_interrupted(tmp_path: Path) -> None:
    program = "import sys; from twinbert.index import Index; Index.open(sys.argv[1]).writer(wait=60).__enter__()"
    with build(tmp_path / "x", TEXTS) as index, index.writer():
        process = subprocess.Popen(
            [sys.executable, "-c", f"print('here', flush=True); {program}", str(tmp_path / "x")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1)
        os.kill(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors


@pytest.mark.parametrize("wait", [-1, float("nan")])
def test_a_wait_is_a_time(tmp_path: Path, wait: float) -> None:
    with build(tmp_path / "x", TEXTS) as index, pytest.raises(InvalidInputError, match="wait must be seconds, 0 or"):
        index.writer(wait=wait)
