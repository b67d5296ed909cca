"""Flips bits of one file of an index, or cuts it, and says what came of it.

Run as ``python -m flipping FOLDER FILE HOW STEP``.
HOW is ``flip`` or ``cut``; one byte of STEP is tried. In a process of its own, for FAISS may take it down with it.
Prints JSON: how many were found, how many changed nothing that is ever read, and the others.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
from twinbert.errors import TwinBertError
from twinbert.index import Index
from workload import say

TABLES = ("sqlite_schema", "sqlite_sequence", "commits", "builds", "segments", "vectors", "fresh", "documents")
GROWN = "sqlite_sequence"
"""A number that is higher than need be leaves a gap in the numbers given out, and nothing else."""


def found(folder: Path) -> bool:
    """Whether opening or verify finds a fault."""
    try:
        with Index.open(folder) as index:
            return index.verify() != []
    except TwinBertError:
        return True


def columns(store: Path) -> dict[str, list[str]]:
    """The columns of every table."""
    with apsw.Connection(str(store)) as connection:
        return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in TABLES}


def read(store: Path, known: dict[str, list[str]]) -> dict[str, object]:
    """Every value of every table, as bytes and type; an error where a table cannot be read."""
    connection = apsw.Connection(f"file:{store}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    tables: dict[str, object] = {}
    for name, parts in known.items():
        values = ", ".join(f"CAST({part} AS BLOB), typeof({part})" for part in parts)
        try:
            tables[name] = connection.execute(f"SELECT rowid, {values} FROM {name} ORDER BY rowid").fetchall()
        except apsw.Error as error:
            tables[name] = str(error)
    connection.close()
    return tables


def damages(data: bytes, how: str, step: int) -> Iterator[tuple[str, bytes]]:
    """What the file may be instead: one bit of every ``step``-th byte flipped, or cut there."""
    chance = random.Random(0)
    for start in range(0, len(data), step):
        offset = min(start + chance.randrange(step), len(data) - 1)
        if how == "cut":
            yield f"cut to {offset}", data[:offset]
            continue
        bit = chance.randrange(8)
        yield f"bit {bit} of byte {offset}", data[:offset] + bytes([data[offset] ^ 1 << bit]) + data[offset + 1 :]


def main(folder: Path, name: str, how: str, step: int) -> None:
    """Try them all."""
    path, store = folder / name, folder / "store.sqlite"
    sound, known = path.read_bytes(), columns(store)
    before = read(store, known)
    result: dict[str, object] = {"found": 0, "unused": 0}
    missed: list[str] = []
    for place, damaged in damages(sound, how, step):
        path.write_bytes(damaged)
        # A crash here tells the parent where, by the last line.
        if found(folder):
            result["found"] += 1  # type: ignore[operator]
        else:
            after = read(store, known)
            changed = [table for table in TABLES if after[table] != before[table]]
            if name == store.name and changed in ([], [GROWN]):
                result["unused"] += 1  # type: ignore[operator]
            else:
                missed.append(f"{place}, {changed}")
        for log in folder.glob("store.sqlite-*"):
            log.unlink()
        path.write_bytes(sound)
    say(json.dumps(result | {"missed": missed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
