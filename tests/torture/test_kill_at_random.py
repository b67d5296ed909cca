"""kill -9 at any moment, again and again on one index: what was acknowledged is there. A soak, not a proof."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

from judging import FAULTS, fault, found
from soak import step
from torture_world import ENVIRONMENT, LONG, Tally, child
from workload import State, acknowledged

ROUNDS = 300 if LONG else 8
LONGEST = 0.4
"""Seconds that a writer may live at most after its first acknowledgement."""


def killed(folder: Path, first: int, bug: str, seconds: float) -> str:
    """What a soak printed until it was killed, so long after its first line."""
    with subprocess.Popen(
        child("soak", folder, first, bug), env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as soak:
        assert soak.stdout is not None
        line = soak.stdout.readline()
        time.sleep(seconds)
        soak.kill()
        return line + soak.stdout.read()


def torture(folder: Path, tally: Tally, bug: str) -> None:
    chance, states = random.Random(5), list[State]([None])
    for _ in range(ROUNDS):
        done = acknowledged(killed(folder, len(states), bug, chance.uniform(0, LONGEST)))
        while len(states) < done + 2:
            states.append(step(len(states)).after(states))
        try:
            state = found(folder, states[done:])
        except FAULTS as error:
            tally.add(f"after command {done}", f"{error}")
            return
        tally.add(done, None)
        # The command in flight was done or was not; the next round begins after what was.
        del states[done + 1 + (state != states[done]) :]
    tally.note = f"rounds, {len(states) - 1} commands"
    tally.add("the end", fault(folder, len(states) - 1, [*states, states[-1]]))


def test_acknowledged_is_there(place: Path, tally: Tally) -> None:
    torture(place / "x", tally, "none")
    assert tally.bad == []


def test_planted_acknowledges_before_the_commit(place: Path, tally: Tally) -> None:
    torture(place / "x", tally, "acknowledges before the commit")
    assert tally.bad != []
