"""Says what is wrong with an index after something terrible happened to it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import apsw
from evidence_world import change, check_found
from index_world import answers, contents, expected
from twinbert.errors import IndexNotFoundError, IndexUnfinishedError, TwinBertError
from twinbert.index import Index
from workload import OPTIONS, SCHEMA, State, states

AFTER = {"after": "work goes on", "d05": "after all"}
FAULTS = (TwinBertError, AssertionError, OSError, ValueError, apsw.Error)
"""What a damaged index may raise where a planted bug let it come to be."""


def fault(folder: Path, done: int, known: list[State] | None = None, ignore: Collection[str] = ()) -> str | None:
    """What is wrong with an index of which ``done`` steps were acknowledged and the next may have begun.

    Everything acknowledged must be there, the next step wholly or not at all; nothing found by verify, answers like
    the oracle's; and the next writer works and tidies up.

    ignore: files in which verify may find faults.
    """
    known = known or states()
    try:
        state = found(folder, known[done : done + 2], ignore)
        _goes_on(folder, state, ignore)
    except FAULTS as error:
        return f"{type(error).__name__}: {error}"[:300]
    return None


def found(folder: Path, allowed: list[State], ignore: Collection[str] = ()) -> State:
    """The state of an index, one of those allowed; raises one of FAULTS for any other, and for what verify finds."""
    try:
        index = Index.open(folder)
    except (IndexNotFoundError, IndexUnfinishedError):
        assert None in allowed, "the index is lost"
        return None
    with index:
        state = contents(index)
        assert state in allowed, f"{difference(state, allowed[0] or {})} against what was acknowledged"
        check(index, state, ignore)
    return state


def check(index: Index, state: dict[str, str], ignore: Collection[str]) -> None:
    """Raise AssertionError unless the index is sound and answers like the oracle."""
    problems = [problem for problem in index.verify() if problem.file not in ignore]
    assert problems == [], problems
    assert len(index) == len(state), f"{len(index)} documents instead of {len(state)}"
    for query in ("changed", "old 7"):
        assert answers(index, query, 5) == expected(state, query, 5), f"another answer to {query!r}"
    check_found(index, state, {"old": 1.0, "newer": 1.0, "changed": 1.0, "7": 1.0}, 5)


def _goes_on(folder: Path, state: State, ignore: Collection[str]) -> None:
    if state is None:
        with Index.create(folder, SCHEMA, OPTIONS, overwrite=True, resume=True) as index:
            change(index, AFTER, replace=True)
    with Index.open(folder) as index:
        change(index, AFTER, compact=True)
        now = {**(state or {}), **AFTER}
        assert contents(index) == now, "the next command was not done"
        check(index, now, ignore)
        left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix == ".tmp"}
        left |= {path.name for path in (folder / "segments").iterdir()} - {str(index.info().generation)}
        assert not left, f"{left} are left behind"


def difference(state: dict[str, str], other: State) -> str:
    """Which documents differ between two states."""
    names = sorted(name for name in {*state, *(other or {})} if state.get(name) != (other or {}).get(name))
    return f"{len(names)} documents differ ({', '.join(names[:4])})"
