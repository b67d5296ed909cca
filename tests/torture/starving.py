"""Commands that need more and more room, in a process or on a disk that has little.

``python -m starving FOLDER BYTES BUG`` limits every file to BYTES (0 does not), then adds documents until that is
refused. It acknowledges each command by its number; a refusal is the line ``refused: …``. Then it says ``answers``
if the index still answers like the oracle.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import bugs
from index_world import answers, expected
from twinbert.errors import TwinBertError
from twinbert.index import Index
from workload import State, Step, acknowledge, build, compact, numbered, say, states, upsert

SEGMENT_LIMIT = 1_000
"""Bytes that a file may have in the last compaction: fewer than a segment's have."""
MOST = 200
"""Commands after which a disk that is still not full is none that was meant to be."""


def step(number: int) -> Step:
    """Command ``number``, 1 being the first; each third one compacts."""
    if number == 1:
        return build(numbered("first", 20))
    texts = {f"n{number}-{place}": f"{number} {place} " * 40 for place in range(8)}
    return upsert(texts, compact=number % 3 == 0)


def known() -> list[State]:
    """The states before the first command and after each."""
    return states(map(step, range(1, MOST + 1)))


def main(folder: Path, limit: int, bug: str) -> None:
    """Go on until no command is taken any more: neither one that adds nor one that compacts."""
    bugs.plant(bug)
    step(1).act(folder)
    acknowledge(1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limit_files(limit)
    done = 1
    for number in range(2, MOST + 1):
        if not taken(step(number), folder):
            break
        acknowledge(number)
        done = number
    limit_files(min(limit, SEGMENT_LIMIT))
    taken(compact(), folder)
    state = known()[done] or {}
    with Index.open(folder) as index:
        assert answers(index, "first 3", 9) == expected(state, "first 3", 9)
    say("answers")


def limit_files(limit: int) -> None:
    """No file of this process may grow beyond so many bytes; 0 leaves them as they are."""
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))


def taken(command: Step, folder: Path) -> bool:
    """Whether a command was done; says why one is refused."""
    try:
        command.act(folder)
    except TwinBertError as error:
        say(f"refused: {error}")
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
