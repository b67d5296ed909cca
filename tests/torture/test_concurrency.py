"""Readers check the contents of every answer while a writer upserts, deletes and compacts as fast as it can."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from index_world import build, change
from torture_world import ENVIRONMENT, LONG, Tally, child
from twinbert.index import BuildOptions, Index
from watching import state

COMMITS = 3_000 if LONG else 90
BETWEEN = 30 if LONG else 9
"""Commits from one compaction to the next; half of them compact on their own, half with a change."""
READERS = 2


@contextmanager
def watched(folder: Path, bug: str, tally: Tally) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that read while the block runs; what they saw is counted after it."""
    command, stop = child("watching", folder, folder.parent / "stop", bug), folder.parent / "stop"
    readers = [subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) for _ in range(READERS)]
    for reader in readers:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "watching\n"
    yield readers
    stop.touch()
    seen = 0
    for reader in readers:
        result = json.loads(reader.communicate(timeout=120)[0])
        tally.tried += result["reads"]
        tally.bad += result["faults"]
        seen += result["commits"]
    tally.note = f"reads, {seen} commits seen"


def write(index: Index, number: int) -> None:
    """Put ``state(number)`` in place of what is there."""
    gone = set(state(number - 1)) - set(state(number))
    change(index, state(number), delete=gone, compact=number % (2 * BETWEEN) == 0)
    if number % (2 * BETWEEN) == BETWEEN:
        index.compact()


def torture(folder: Path, tally: Tally, bug: str) -> None:
    with build(folder, state(0), BuildOptions(index_key="HNSW8")) as index:
        with watched(folder, bug, tally) as readers:
            for number in range(1, COMMITS + 1):
                write(index, number)
                if any(reader.poll() is not None for reader in readers):
                    break
        assert index.verify() == []


def test_every_answer_is_of_one_commit(place: Path, tally: Tally) -> None:
    torture(place / "x", tally, "none")
    assert tally.bad == []
    assert tally.tried > 0


def test_planted_a_snapshot_of_two_commits(place: Path, tally: Tally) -> None:
    torture(place / "x", tally, "a snapshot of two commits")
    assert tally.bad != []
