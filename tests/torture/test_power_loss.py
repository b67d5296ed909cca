"""The power fails after every system call of the workload; simulated_disk.py says what is on the disk then."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest
import tracing
from judging import fault
from simulated_disk import Disk, Loss, write_out
from torture_world import LONG, Tally, child, sample
from workload import STEPS, acknowledged

Moment = tuple[int, int]
"""Number of a system call, and how many steps were acknowledged by then."""
POINTS = 30
"""Moments of the workload at which the short form cuts the power."""
SEEDS = 4 if LONG else 1
"""Random losses tried at each moment, beside the four plain ones."""


def losses(moment: int) -> list[Loss]:
    """Nothing arrived, all did, only names, only contents; and chance."""
    plain = [Loss(writes, names) for writes in (0, 1) for names in (0, 1)]
    return plain + [Loss(0.5, 0.5, seed=1000 * moment + number) for number in range(SEEDS)]


def recorded(folder: Path, bug: str = "none") -> list[tracing.Call]:
    """The system calls of the workload in ``folder / "disk"``."""
    tracing.needed()
    (folder / "disk").mkdir()
    return tracing.record(child("workload", folder / "disk" / "index", bug), folder / "trace")


def moments(folder: Path, calls: list[tracing.Call]) -> Iterator[tuple[int, Disk, int]]:
    """After every call that changed something: its number, the disk, and how many steps were acknowledged by then."""
    disk, done = Disk(folder / "disk"), 0
    for number, call in enumerate(calls):
        if call.name == "write" and call.descriptor == 1:
            done = acknowledged(tracing.decoded(call.arguments[1]).decode())
        disk.apply(call)
        if call.name in tracing.CHANGING and call.touches(folder / "disk"):
            yield number, disk, done


def cut_power(folder: Path, tally: Tally, bug: str, choose: Callable[[list[Moment]], list[Moment]]) -> Iterator[str]:
    """Cut the power at the moments chosen, in every way, once for each disk that comes of it; yield the faults."""
    calls = recorded(folder, bug)
    known = [(number, done) for number, _, done in moments(folder, calls)]
    chosen, seen = choose(known), set[bytes]()
    tally.note = f"disks, of {len(chosen)} of {len(known)} moments"
    for number, disk, done in moments(folder, calls):
        for loss in losses(number) if (number, done) in chosen else []:
            left = disk.after_power_loss(loss)
            digest = hashlib.blake2b(repr((done, sorted(left.items()))).encode()).digest()
            if digest in seen:
                continue
            seen.add(digest)
            after = folder / f"x{tally.tried}"
            write_out(left, after)
            # What a build has staged is promised to survive a kill; after this, resuming it asks for it again.
            found = fault(after / "index", done, ignore=("staged.npy", "staged.evidence"))
            tally.add(f"after call {number}, {loss}", found)
            shutil.rmtree(after)
            if found is not None:
                yield found


def test_what_was_acknowledged_survives(place: Path, tally: Tally) -> None:
    assert list(cut_power(place, tally, "none", lambda known: sample(known, POINTS))) == []


@pytest.mark.parametrize("bug", ["the store is not synced", "segment files are not synced", "folders are not synced"])
def test_planted(place: Path, tally: Tally, bug: str) -> None:
    def after_commands(known: list[Moment]) -> list[Moment]:
        return [here for before, here in pairwise(known) if here[1] > before[1]]

    faults = cut_power(place, tally, bug, after_commands)
    assert len(list(faults if LONG else islice(faults, 1))) > 0


def test_the_disk_as_left_is_the_disk_as_replayed(place: Path) -> None:
    (*_, (_, disk, done)) = moments(place, recorded(place))
    replayed = disk.after_power_loss(Loss(1, 1))
    paths = [path for path in (place / "disk").rglob("*") if not path.name.endswith("-shm")]
    left = {str(path.relative_to(place / "disk")): path.read_bytes() if path.is_file() else None for path in paths}
    assert done == len(STEPS) - 1
    assert replayed.keys() == left.keys()
    assert replayed == left
