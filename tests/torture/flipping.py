"""Flips bits of one file of an index, or cuts it, and says what came of it.

Run as ``python -m flipping FOLDER FILE HOW STEP BUG``.

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
import bugs
from twinbert.errors import TwinBertError
from twinbert.index import Index
from workload import say

TABLES = (
    *("sqlite_schema", "sqlite_sequence", "commits", "builds", "segments", "vectors", "fresh", "spool", "documents"),
    *("evidence", "evidence_spool"),
)
UNUSED_BYTES = {"staged.npy": 128}
"""Where a file begins with room for a header that is written when a segment takes it over."""
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
    tables["words"] = found_by_terms(connection)
    connection.close()
    return tables


def found_by_terms(connection: apsw.Connection) -> object:
    """What the inverted file says of every term: FTS5 has more in its tables, dead entries and numbers that rank."""
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.said USING fts5vocab(main, words, instance)")
        terms = connection.execute("SELECT term, doc FROM temp.said").fetchall()
        lists = [
            connection.execute("SELECT group_concat(rowid) FROM words(?)", (f'"{term}"',)).get for term, _ in terms
        ]
    except (apsw.Error, UnicodeDecodeError) as error:
        return str(error)
    return terms, lists


def damages(data: bytes, how: str, step: int) -> Iterator[tuple[int, bytes]]:
    """Where, and what the file may be instead: one bit of every ``step``-th byte flipped, or cut there."""
    chance = random.Random(0)
    for start in range(0, len(data), step):
        offset = min(start + chance.randrange(step), len(data) - 1)
        if how == "cut":
            yield offset, data[:offset]
        else:
            yield offset, data[:offset] + bytes([data[offset] ^ 1 << chance.randrange(8)]) + data[offset + 1 :]


def main(folder: Path, name: str, how: str, step: int, bug: str) -> None:
    """Try them all."""
    bugs.plant(bug)
    path, store = folder / name, folder / "store.sqlite"
    sound, known = path.read_bytes(), columns(store)
    before = read(store, known)
    result: dict[str, list[object]] = {"found": [], "unused": [], "missed": []}
    for offset, damaged in damages(sound, how, step):
        path.write_bytes(damaged)
        if found(folder):
            result["found"].append(offset)
        else:
            after = read(store, known)
            changed = [table for table in before if after[table] != before[table]]
            unread = path == store and changed in ([], [GROWN])
            harmless = unread or (how == "flip" and offset < UNUSED_BYTES.get(name, 0))
            result["unused" if harmless else "missed"].append((offset, changed))
        for log in folder.glob("store.sqlite-*"):
            log.unlink()
        path.write_bytes(sound)
    counts = {kind: len(places) for kind, places in result.items()}
    say(json.dumps(counts | {"missed": [str(place) for place in result["missed"]]}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
