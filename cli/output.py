"""How results leave the program: data on stdout, everything else on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ..retrieval import Explanation, Hit
from ..retrieval import Progress as Report

console = Console(stderr=True, markup=False, highlight=False, emoji=False)
"""Messages and progress bars."""
SNIPPET_LINES = 2
"""Lines of a document's text below a hit."""
INDENT = 14
"""Columns that a hit's rank and score take."""


def print_line(line: str) -> None:
    """Write one line of data."""
    sys.stdout.write(line + "\n")


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Write one JSON value on one line."""
    print_line(msgspec.json.encode(value).decode())


def print_facts(facts: dict[str, Any], *, as_json: bool) -> None:
    """Write names and values, aligned for people or as one JSON object."""
    if as_json:
        print_json(facts)
        return
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value}")


def print_table(rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Write a table; the first row is its header, the first column is to the left."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for place, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    _screen(soft_wrap=not sys.stdout.isatty()).print(table)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Write rows in columns to the right, of any width: nothing is cut where the screen is narrow."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_line("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_hits(query: str, hits: Sequence[Hit]) -> None:
    """Write one query's hits for people to read."""
    screen = _screen()
    screen.print(query, style="bold")
    for hit in hits:
        screen.print(f"{hit.rank:>3}  {hit.score:7.3f}  {hit.id}", style="cyan")
        if hit.explanation is not None:
            screen.print(f"{'':{INDENT}}{told(hit.explanation)}", style="dim", soft_wrap=True)
        segment = None if hit.explanation is None else hit.explanation.segment
        for line in snippet(hit.text if segment is None else segment.text or "", screen.width - INDENT):
            screen.print(f"{'':{INDENT}}{line}")
    if not hits:
        screen.print("  (no documents)")


def told(explanation: Explanation) -> str:
    """What a score is made of, on one line; parts that add nothing are left out."""
    raw = {"lexical": f" (BM25 {explanation.lexical:.1f})"}
    if explanation.segment is not None:
        raw["segment"] = f" {explanation.segment.number}"
    parts = [f"{value:.3f} {name}{raw.get(name, '')}" for name, value in explanation.contributions.items() if value]
    return f"{' + '.join(parts) or '0'} · found by {' and '.join(explanation.found_by)}"


def note(text: str) -> None:
    """Write a line on stderr that nobody must heed."""
    console.print(text, style="dim", soft_wrap=True)


def note_unmeasured(model: str) -> None:
    """Say that a new model's int8 graph has not been held against its fp32 one."""
    note(f"its int8 graph is calibrated but not measured: twinbert model export {model} measures it")


def snippet(text: str, width: int) -> list[str]:
    """The first lines of a text, each at most ``width`` characters, with an ellipsis where more follows."""
    return textwrap.wrap(text, max(width, 20), max_lines=SNIPPET_LINES, placeholder=" …")


@contextmanager
def progress_bar(label: str, *, quiet: bool = False) -> Iterator[Report]:
    """A bar with rate and time left on stderr, where that is a terminal and nobody asked for quiet."""
    if quiet or not console.is_terminal:
        yield _silent
        return
    with Progress(*_columns(), console=console) as bar:
        task = bar.add_task(label, total=None, rate="")

        def report(done: int, total: int) -> None:
            _advance(bar, task, done, total)

        yield report


@contextmanager
def stage_bar(*, quiet: bool = False) -> Iterator[Callable[[str, int, int], None]]:
    """Like ``progress_bar``, for work in stages: a bar for each name that is reported, below the ones before."""
    if quiet or not console.is_terminal:
        yield _silent_stage
        return
    with Progress(*_columns(), console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def report(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=None, rate="")
            _advance(bar, tasks[label], done, total)

        yield report


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )


def _advance(bar: Progress, task: TaskID, done: int, total: int) -> None:
    speed = bar.tasks[task].speed
    bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")


def _screen(*, soft_wrap: bool = False) -> Console:
    """Standard output that prints ids and texts as they are: nothing in them is markup or an emoji's name."""
    return Console(soft_wrap=soft_wrap, markup=False, highlight=False, emoji=False)


def _silent(done: int, total: int) -> None:
    """Report nothing."""


def _silent_stage(label: str, done: int, total: int) -> None:
    """Report nothing."""
