"""kill -9 as the workload makes its n-th write, sync, rename, … for every n and kind of call on the index's files."""

from __future__ import annotations

from pathlib import Path

import pytest
import tracing
from judging import fault
from torture_world import LONG, Tally, child, sample
from workload import acknowledged

EACH = 2
"""Calls of each kind that the short form tries, spread over the workload."""


def points_of(folder: Path, bug: str) -> list[tracing.Call]:
    """Every call of the workload that changes the index's files, or syncs them."""
    tracing.needed()
    calls = tracing.record(child("workload", folder / "recorded", bug), folder / "trace")
    return [call for call in calls if call.name in tracing.CHANGING and call.touches(folder / "recorded")]


def kill_at(folder: Path, points: list[tracing.Call], tally: Tally, bug: str, until: int | None = None) -> None:
    """Kill the workload at each point, up to so many faults."""
    for place, call in enumerate(points):
        target = folder / f"x{place}"
        printed = tracing.kill_at(call, child("workload", target, bug), folder / "trace")
        tally.add(f"{call.name} {call.number} on {call.short(folder)}", fault(target, acknowledged(printed)))
        if until is not None and len(tally.bad) >= until:
            return


def test_every_call_may_be_the_last(place: Path, tally: Tally) -> None:
    points = points_of(place, "none")
    tally.note = f"of {len(points)} points"
    kinds = [[call for call in points if call.name == name] for name in tracing.CHANGING]
    chosen = [call for kind in kinds for call in sample(kind, EACH)]
    kill_at(place, sorted(chosen, key=points.index), tally, "none")
    assert tally.bad == []


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        ("acknowledges before the commit", "fsync"),
        ("the store is written in place", "pwrite64"),
        ("the segment is renamed after the commit", "rename"),
    ],
)
def test_planted(place: Path, tally: Tally, bug: str, kind: str) -> None:
    points = [call for call in points_of(place, bug) if call.name == kind]
    kill_at(place, sample(points, 20), tally, bug, until=None if LONG else 1)
    assert tally.bad != []
