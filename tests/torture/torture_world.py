"""What the torture tests share: short or long, child processes, and the count of what was tried."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

LONG = os.environ.get("TWINBERT_TORTURE") == "long"
"""Every point rather than a sample, minutes rather than seconds."""
HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {
    # One thread: then the same workload makes the same system calls in the same order every time.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": os.pathsep.join(
        [str(HERE), str(HERE.parent / "index"), *filter(None, [os.environ.get("PYTHONPATH")])]
    ),
}
_Thing = TypeVar("_Thing")


@dataclass
class Tally:
    """How much a test tried and what it found bad."""

    name: str
    tried: int = 0
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0
    note: str = ""

    def add(self, place: object, fault: str | None) -> None:
        """Count one try at ``place``, and what is wrong after it."""
        self.tried += 1
        if fault is not None:
            self.bad.append(f"{place}: {fault}")

    def row(self) -> dict[str, object]:
        """For JSON."""
        return {"test": self.name, "tried": self.tried, "bad": len(self.bad), "seconds": round(self.seconds, 1)}


def child(module: str, *arguments: object) -> list[str]:
    """The command that runs one of this folder's modules."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def run(command: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    """Run a child to its end, whatever that is."""
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def sample(things: Sequence[_Thing], short: int) -> list[_Thing]:
    """All of them in the long form, ``short`` spread evenly in the short one."""
    if LONG or len(things) <= short:
        return list(things)
    return [things[place * (len(things) - 1) // (short - 1)] for place in range(short)]
