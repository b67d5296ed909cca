"""A script of commands that is killed, unplugged and starved, and the state of the index after each.

Run as ``python -m workload FOLDER BUG`` it does them all and acknowledges each by a line on its stdout. To torture
another kind of command, write a function that returns its Step and add a call to STEPS.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import bugs
from evidence_world import SCHEMA, change
from twinbert.index import BuildOptions, Index

State = Mapping[str, str] | None
"""Id to text of all live documents; None before the first commit."""
OPTIONS = BuildOptions(index_key="HNSW8")


@dataclass(frozen=True)
class Step:
    """One command. act: does it to the folder. after: the state it leaves, from the states before it."""

    name: str
    act: Callable[[Path], object]
    after: Callable[[list[State]], State]


def build(texts: Mapping[str, str], *, overwrite: bool = False) -> Step:
    """A new index, or one over the old."""

    def act(folder: Path) -> None:
        with Index.create(folder, SCHEMA, OPTIONS, overwrite=overwrite) as index:
            change(index, texts, replace=True)

    return Step("replace" if overwrite else "build", act, lambda _: dict(texts))


def upsert(texts: Mapping[str, str], *, compact: bool = False) -> Step:
    """Documents added or changed."""

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            change(index, texts, compact=compact)

    return Step("upsert", act, lambda states: {**(states[-1] or {}), **texts})


def delete(ids: Iterable[str]) -> Step:
    """Documents taken away."""
    gone = list(ids)

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            change(index, delete=gone)

    return Step(
        "delete", act, lambda states: {name: text for name, text in (states[-1] or {}).items() if name not in gone}
    )


def compact() -> Step:
    """A new generation of what is live."""

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            index.compact()

    return Step("compact", act, lambda states: states[-1])


def sync(texts: Mapping[str, str]) -> Step:
    """These documents and no others."""

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            change(index, texts, sync=True)

    return Step("sync", act, lambda _: dict(texts))


def rollback(commits: int, *, to: int) -> Step:
    """So many changes undone, which brings back the state after step ``to``."""

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            index.rollback(commits)

    return Step("rollback", act, lambda states: states[to])


def gc(keep: int) -> Step:
    """All but the last changes forgotten."""

    def act(folder: Path) -> None:
        with Index.open(folder) as index:
            index.gc(keep)

    return Step("gc", act, lambda states: states[-1])


def numbered(word: str, count: int) -> dict[str, str]:
    """So many documents."""
    return {f"d{number:02}": f"{word} {number}" for number in range(count)}


STEPS = (
    build(numbered("old", 30)),
    upsert({"d00": "changed", "d31": "new", "d32": "old 7"}),
    delete(["d01", "d02"]),
    compact(),
    upsert(numbered("newer", 9), compact=True),
    delete(["d31"]),
    rollback(2, to=4),
    sync(numbered("synced", 12) | {"d31": "new"}),
    gc(1),
    build(numbered("replaced", 12), overwrite=True),
    upsert({"d03": "last", "e": "really last"}),
    rollback(2, to=9),
)


def states(steps: Iterable[Step] = STEPS) -> list[State]:
    """The state before the first step and after each."""
    found: list[State] = [None]
    for step in steps:
        found.append(step.after(found))
    return found


def acknowledge(number: int) -> None:
    """Tell the parent that so many steps are done, in one system call."""
    say(str(number))


def say(line: str) -> None:
    """Write a line to stdout in one system call, past every buffer."""
    os.write(1, f"{line}\n".encode())


def acknowledged(lines: str) -> int:
    """How many steps a child said were done."""
    return max((int(line) for line in lines.splitlines()), default=0)


def main(folder: Path, bug: str) -> None:
    """Do all steps; ``bug`` names one of bugs.py to be planted first."""
    bugs.plant(bug)
    for number, step in enumerate(STEPS, start=1):
        if bug == "acknowledges before the commit":
            acknowledge(number)
        step.act(folder)
        acknowledge(number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
