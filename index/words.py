"""The store's table ``words``: SQLite's FTS5 as an inverted file, from each term to the vectors that hold it.

It is derived from the evidence and changes in the transaction that changes what it is derived from. Rows are vector
numbers, tokens the hexadecimal digits of terms, so that FTS5 sees no text; scoring is ``bm25``'s. See decision 19.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError
from .evidence import COUNT, TERM
from .evidence_map import TERM_STARTS, TERMS
from .segment import NUMBERS, SegmentRequest
from .store import Commit

_BLOCK = 4_096
_DIGITS = 8
_BORN = """
SELECT vector, terms FROM evidence
WHERE NOT EXISTS (SELECT 1 FROM words_docsize WHERE id = vector) AND vector IN (
    SELECT vector FROM documents
    WHERE row > coalesce((SELECT row FROM documents WHERE born < ? ORDER BY row DESC LIMIT 1), 0))
"""
_FORGET = """
DELETE FROM words WHERE rowid IN (
    SELECT id FROM words_docsize WHERE NOT EXISTS (SELECT 1 FROM vectors WHERE vector = id))
"""
_INSERT = "INSERT INTO words (rowid, terms) VALUES (?, ?)"
_HOLDING = "SELECT group_concat(rowid) FROM words WHERE words MATCH ?"


def is_lexical(commit: Commit) -> bool:
    """Whether the table is kept at a commit."""
    return commit.options.lexical and commit.schema.evidence is not None


def add_born(connection: apsw.Connection, commit: Commit) -> None:
    """Take in the vectors of documents that were born with ``commit`` and that no segment was written for."""
    if is_lexical(commit):
        with _damage_named():
            rows: list[Any] = connection.execute(_BORN, (commit.number,)).fetchall()
            connection.executemany(_INSERT, ((number, _digits_of(terms)) for number, terms in rows))


def publish_words(connection: apsw.Connection, folder: Path, request: SegmentRequest) -> None:
    """Take in what the segment in ``folder`` holds, and leave out what is forgotten; all of it anew with a rebuild."""
    lexical = is_lexical(request.commit)
    with _damage_named():
        if request.rebuild or not lexical:
            connection.execute("INSERT INTO words (words) VALUES ('delete-all')")
        if lexical:
            numbers: NDArray[np.int64] = np.load(folder / NUMBERS, allow_pickle=False)
            missing = ~np.isin(numbers, held(connection), assume_unique=True)
            connection.executemany(_INSERT, _tokens(folder, numbers, np.flatnonzero(missing)))
            forget_words(connection)


def forget_words(connection: apsw.Connection) -> None:
    """Leave out vectors whose numbers are forgotten."""
    connection.execute(_FORGET)


def held(connection: apsw.Connection) -> NDArray[np.int64]:
    """Numbers of all vectors that are in the table, ``(n,)`` ascending."""
    found = connection.execute("SELECT id FROM words_docsize ORDER BY id")
    return np.fromiter((number for (number,) in found), dtype=np.int64)


def holding(connection: apsw.Connection, terms: Iterable[int]) -> list[NDArray[np.int64]]:
    """For each term the numbers of the vectors that hold it, ``(m,)`` ascending, dead ones too."""
    with _damage_named():
        found = [connection.execute(_HOLDING, (f'"{term:0{_DIGITS}x}"',)).get for term in terms]
    return [np.fromstring(text or "", dtype=np.int64, sep=",") for text in found]


def counted(connection: apsw.Connection) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Every term of the table, ascending, and how many vectors hold it; ``(v,)`` each.

    Raises IndexDamagedError where a token is none that was written.
    """
    connection.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.words_counted USING fts5vocab(main, words, row)")
    try:
        rows: list[Any] = connection.execute("SELECT term, doc FROM temp.words_counted ORDER BY term").fetchall()
        return np.array([int(term, 16) for term, _ in rows], dtype=TERM), np.array([n for _, n in rows], dtype=np.int64)
    except (ValueError, OverflowError, apsw.CorruptError) as error:
        raise IndexDamagedError("the store's table words is damaged: twinbert index rebuild makes it anew") from error
    finally:
        connection.execute("DROP TABLE temp.words_counted")


@contextmanager
def _damage_named() -> Iterator[None]:
    try:
        yield
    except apsw.CorruptError as error:
        raise IndexDamagedError(
            f"the store's table words is damaged ({error}): twinbert index rebuild makes it anew"
        ) from error


def _digits_of(terms: bytes) -> str:
    """The tokens of a row of the table ``evidence``."""
    count = len(terms) // (np.dtype(TERM).itemsize + np.dtype(COUNT).itemsize)
    return _digits(np.frombuffer(terms, dtype=TERM, count=count))


def _digits(terms: NDArray[np.uint32]) -> str:
    return terms.astype(">u4").tobytes().hex(" ", _DIGITS // 2)


def _tokens(folder: Path, numbers: NDArray[np.int64], places: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Numbers and tokens of the vectors at ``(n,)`` ascending places of a segment."""
    terms: NDArray[np.uint32] = np.load(folder / TERMS, mmap_mode="r", allow_pickle=False)
    starts: NDArray[np.int64] = np.load(folder / TERM_STARTS, mmap_mode="r", allow_pickle=False)
    for place in range(0, len(places), _BLOCK):
        some = places[place : place + _BLOCK]
        ends = zip(numbers[some].tolist(), starts[some].tolist(), starts[some + 1].tolist(), strict=True)
        for number, start, end in ends:
            yield number, _digits(terms[start:end])
