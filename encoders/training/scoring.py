"""``twinbert train score``: a teacher's probability beside every pair of a file, streamed, resumable after any death.

The pairs are taken in windows of a fixed number of rows; a window's lines are written at once, in the order of the
input, into ``OUT.partial``, which is renamed when it is complete. Going on cuts a torn window off, checks every line
before it against the input, and scores from there: batches fall as they would have, so the bytes are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from .pair_files import PairRow, read_pair_rows

WINDOW_PAIRS = 2_048
"""Pairs taken together unless the caller says otherwise: what a death can lose, and what is in memory."""


class PairScorer(Protocol):
    """What scores pairs: a ``CrossEncoder``."""

    @property
    def fingerprint(self) -> str:
        """Names the scorer: scores of one fingerprint belong together."""

    def score(self, queries: list[str], documents: list[str]) -> NDArray[np.float64]:
        """Probabilities, ``(n,)`` float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    """What a run did. pairs: in the output. scored: by this run; the others were there already."""

    pairs: int
    scored: int


class _Note(msgspec.Struct, frozen=True):
    """What an unfinished output was begun with, in a file beside it."""

    teacher: str
    window: int


def score_pairs(
    source: Path,
    target: Path,
    teacher: PairScorer,
    *,
    resume: bool = False,
    window: int = WINDOW_PAIRS,
    progress: Callable[[int, int], None] | None = None,
) -> ScoreReport:
    """Score every pair of a file into JSON lines: its own fields, with ``score`` set.

    source: as ``read_pair_rows`` takes it; read once to the end before anything is scored, so that no fault in it
    shows itself after hours. resume: go on with a run that was stopped.
    window: pairs that are read, sorted by length, scored and written together.
    progress: told (done, total) in pairs.

    Raises InvalidInputError, naming file and line, for pairs that cannot be taken, for a target or an unfinished run
    that is there already, and for going on with other pairs or another teacher than the run began with.
    """
    if target.exists():
        raise InvalidInputError("this file is there already: name a new one", path=target)
    total = sum(1 for _ in read_pair_rows(source))
    partial, note = (target.with_name(target.name + suffix) for suffix in (".partial", ".partial.json"))
    begun = _begin(partial, note, _Note(teacher.fingerprint, window), resume)
    with partial.open("r+b") as output:
        rows = read_pair_rows(source)
        kept = _keep_whole_windows(output, rows, window, partial) if begun else 0
        done = kept
        if progress:
            progress(done, total)
        while some := list(islice(rows, window)):
            _append(output, _scored_lines(some, teacher))
            done += len(some)
            if progress:
                progress(done, total)
    partial.replace(target)
    note.unlink()
    return ScoreReport(pairs=done, scored=done - kept)


def _begin(partial: Path, note: Path, now: _Note, resume: bool) -> bool:
    """Make an empty output and its note, or find those of a stopped run; says whether one is gone on with."""
    if partial.exists() and note.exists():
        if not resume:
            raise InvalidInputError(
                "a run was stopped here: go on with it (--resume), or delete the file", path=partial
            )
        try:
            before = msgspec.json.decode(note.read_bytes(), type=_Note)
        except msgspec.MsgspecError as error:
            raise InvalidInputError(f"no note of a stopped run ({error}): delete both files", path=note) from error
        if before != now:
            raise InvalidInputError(
                "the stopped run had another teacher: name that one, or delete the file", path=partial
            )
        return True
    partial.unlink(missing_ok=True)  # without its note, nothing had been scored
    note.write_bytes(msgspec.json.encode(now))
    partial.touch()
    return False


def _keep_whole_windows(output: BinaryIO, rows: Iterator[PairRow], window: int, partial: Path) -> int:
    """Cut the output after its last whole window and leave it open there; ``rows`` go on with the first pair after it.

    Raises InvalidInputError at the first line that is not of these rows.
    """
    kept, end, place = 0, 0, 0
    for number, line in enumerate(output, start=1):
        place += len(line)
        if line.endswith(b"\n") and number % window == 0:
            kept, end = number, place
    output.seek(0)
    for number, line in enumerate(islice(output, kept), start=1):
        row = next(rows, None)
        if row is None or _json(row.fields) != _json(_decode(line, partial, number)):
            message = "the stopped run scored another pair here: name the pairs it was begun with, or delete the file"
            raise InvalidInputError(message, path=partial, line=number)
    output.seek(end)
    output.truncate()
    return kept


def _decode(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise InvalidInputError(f"not a scored pair ({error}): delete the file", path=path, line=number) from error


def _without_score(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "score"}


def _json(fields: dict[str, Any]) -> bytes:
    """A pair as JSON has it, whatever file it came from."""
    return msgspec.json.encode(_without_score(fields))


def _scored_lines(rows: list[PairRow], teacher: PairScorer) -> bytes:
    scores = teacher.score([row.query for row in rows], [row.document for row in rows])
    lines = [
        msgspec.json.encode({**_without_score(row.fields), "score": score})
        for row, score in zip(rows, scores.tolist(), strict=True)
    ]
    return b"".join(line + b"\n" for line in lines)


def _append(output: BinaryIO, lines: bytes) -> None:
    output.write(lines)
    output.flush()
    os.fsync(output.fileno())
