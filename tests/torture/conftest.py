"""Counts what each torture test tried, and prints it at the end; the long form and where its figures go.

``TWINBERT_TORTURE=long`` tries every point instead of a sample. ``TWINBERT_TORTURE_JSON=FILE`` also writes the table
as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "index"):
    sys.path.insert(0, str(folder))

from torture_world import LONG, Tally  # noqa: E402

TALLIES = pytest.StashKey[list[Tally]]()


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="twinbert-torture-", dir=memory if os.access(memory, os.W_OK) else None
    ) as folder:
        yield Path(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where the machine has one: the calls are the same, and syncing takes no time."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared_place() -> Iterator[Path]:
    """The same for all tests of a module."""
    with folder_in_memory() as folder:
        yield folder


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """What this test tried and found bad."""
    counted = Tally(request.node.name.removeprefix("test_"))
    request.config.stash.setdefault(TALLIES, []).append(counted)
    start = time.perf_counter()
    yield counted
    counted.seconds = time.perf_counter() - start


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table of what was tried."""
    tallies = config.stash.get(TALLIES, [])
    if not tallies:
        return
    width = max(len(counted.name) for counted in tallies)
    terminalreporter.section(f"torture, {'long' if LONG else 'short'} form")
    terminalreporter.write_line(f"{'test':{width}}  {'tried':>7}  {'bad':>5}  {'seconds':>7}")
    for counted in tallies:
        figures = f"{counted.tried:>7}  {len(counted.bad):>5}  {counted.seconds:>7.1f}"
        terminalreporter.write_line(f"{counted.name:{width}}  {figures}  {counted.note}")
    if place := os.environ.get("TWINBERT_TORTURE_JSON"):
        rows = [counted.row() for counted in tallies]
        Path(place).write_text(json.dumps({"form": "long" if LONG else "short", "tests": rows}, indent=2) + "\n")
