"""A reader in a process of its own: ``python -m reading FOLDER USER``.

USER is a number that root becomes first, 0 to stay. For each line of its stdin it says in one line what it sees: the
documents, whether they answer like the oracle, and what verify finds. At the end it tries to compact. An error is a
line too.
"""

from __future__ import annotations

import os
import sys

from index_world import answers, contents, expected
from twinbert.errors import TwinBertError
from twinbert.index import Index
from workload import say


def seen(index: Index) -> str:
    """How many documents, the last one, whether it is found as it should be, and the faults."""
    state = contents(index)
    alike = answers(index, "changed", 5) == expected(state, "changed", 5)
    return f"{len(index)} {state[max(state)]!r} {alike} {index.verify()}"


def main(folder: str) -> None:
    """Open once, then look whenever told."""
    try:
        with Index.open(folder) as index:
            for _ in sys.stdin:
                say(seen(index))
            index.compact()
    except TwinBertError as error:
        say(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    # NumPy loads these at their first use, from a place that perhaps only root may read.
    import mmap  # noqa: F401

    import numpy.random  # noqa: F401

    if os.getuid() == 0:
        os.setuid(int(sys.argv[2]))
    main(sys.argv[1])
