"""No room for a file, no room on the disk: the command that has none says so, and everything acknowledged stays."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import starving
from judging import fault
from torture_world import LONG, Tally, child, run

REFUSAL = re.compile(r"refused: .*(disk's space|free space)")
LIMITS = range(40_000, 400_000, 4_000 if LONG else 200_000)
"""Bytes that a file may have, in a process that may write no larger one."""
SIZES = range(400, 1_000, 20 if LONG else 400)
"""Kibibytes of the disk."""


def starve(folder: Path, limit: int, bug: str, more_room: Callable[[], object] = lambda: None) -> str | None:
    """Let a child run out of room, give it more, and say what is wrong."""
    done = run(child("starving", folder, limit, bug))
    if done.returncode:
        return done.stderr[-600:]
    numbers = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    refusals = [line for line in done.stdout.splitlines() if line.startswith("refused")]
    if not refusals or not all(map(REFUSAL.match, refusals)):
        return f"no clear refusal after {numbers[-1]} commands: {refusals}"
    more_room()
    # The command that was refused was refused as a whole: the state after it is not allowed.
    state = starving.known()[numbers[-1]]
    return fault(folder, 0, [state])


def test_no_larger_file(place: Path, tally: Tally) -> None:
    for limit in LIMITS:
        tally.add(f"{limit} bytes", starve(place / f"x{limit}", limit, "none"))
    assert tally.bad == []


def test_planted_a_failed_commit_is_acknowledged(place: Path, tally: Tally) -> None:
    tally.add("100,000 bytes", starve(place / "x", 100_000, "a failed commit is acknowledged"))
    assert tally.bad != []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a disk of so many kibibytes, and makes one that is mounted as large as it is said to be."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = tmp_path / "disk"
    mounted.mkdir()

    def mount(size: int) -> Path:
        options = f"size={size}k" + (",remount" if mounted.is_mount() else "")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", mounted], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
        return mounted

    yield mount
    if mounted.is_mount():
        subprocess.run(["umount", mounted], check=True)


def test_a_full_disk(small_disk: Callable[[int], Path], tally: Tally) -> None:
    for size in SIZES:
        folder = small_disk(size) / f"x{size}"
        tally.add(f"{size} KiB", starve(folder, 0, "none", lambda: small_disk(16_384)))
        subprocess.run(["rm", "-r", folder], check=True)
    assert tally.bad == []
