"""An endless stream of commands, each told by its number alone: run it, kill it, and know what should be there.

``python -m soak FOLDER FIRST BUG`` does the commands from number FIRST on and acknowledges each.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import bugs
from workload import Step, acknowledge, build, compact, delete, numbered, upsert


def step(number: int) -> Step:
    """Command ``number``, 1 being the first."""
    chance = random.Random(number)
    if number == 1:
        return build(numbered("first", 20))
    kind = chance.choices(["upsert", "delete", "compact", "replace"], [70, 15, 10, 5])[0]
    if kind == "replace":
        return build(numbered(f"whole {number}", chance.randint(1, 20)), overwrite=True)
    if kind == "compact":
        return compact()
    names = [f"d{chance.randrange(30):02}" for _ in range(chance.randint(1, 5))]
    if kind == "delete":
        return delete(set(names))
    return upsert({name: f"{chance.choice(['same', number])} {name[1]}" for name in names})


def main(folder: Path, first: int, bug: str) -> None:
    """Do the commands until somebody ends it."""
    bugs.plant(bug)
    for number in itertools.count(first):
        if bug == "acknowledges before the commit":
            acknowledge(number)
        step(number).act(folder)
        acknowledge(number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
