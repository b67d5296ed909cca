"""An endless stream of commands, each told by its number alone: run it, kill it, and know what should be there.

``python -m soak FOLDER FIRST BUG`` does the commands from number FIRST on and acknowledges each.
"""

from __future__ import annotations

import itertools
import random
import sys
from pathlib import Path

import bugs
from workload import Step, acknowledge, build, compact, delete, gc, numbered, sync, upsert


def step(number: int) -> Step:
    """Command ``number``, 1 being the first."""
    chance = random.Random(number)
    if number == 1:
        return build(numbered("first", 20))
    (make,) = chance.choices([_upsert, _delete, _sync, _gc, _compact, _replace], [65, 15, 5, 3, 8, 4])
    return make(number, chance)


def _upsert(number: int, chance: random.Random) -> Step:
    return upsert({name: f"{chance.choice(['same', number])} {name[1]}" for name in _names(chance)})


def _delete(_: int, chance: random.Random) -> Step:
    return delete(_names(chance))


def _sync(number: int, chance: random.Random) -> Step:
    return sync(numbered(f"synced {number}", chance.randint(1, 20)))


def _gc(_: int, chance: random.Random) -> Step:
    return gc(chance.randint(0, 5))


def _compact(_: int, __: random.Random) -> Step:
    return compact()


def _replace(number: int, chance: random.Random) -> Step:
    return build(numbered(f"whole {number}", chance.randint(1, 20)), overwrite=True)


def _names(chance: random.Random) -> list[str]:
    return sorted({f"d{chance.randrange(30):02}" for _ in range(chance.randint(1, 5))})


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
