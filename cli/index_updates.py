"""``twinbert index upsert``, ``sync``, ``delete`` and ``rollback``: what changes the documents of an index."""

from __future__ import annotations

import time
from typing import Annotated, Optional

import typer

from .index_changes import note_plan, noting_blank, print_changes, print_plan, tidied
from .options import AsJson, Corpora, DryRun, IndexPath, ModelName, Quiet, Wait
from .output import print_facts, progress_bar
from .threads import usable_threads
from .usage import UsageError


def register(app: typer.Typer) -> None:
    """Add the four commands."""
    app.command(epilog="Example: twinbert index upsert docs.index changed.jsonl --dry-run")(upsert)
    app.command(epilog="Example: twinbert index sync docs.index corpus.jsonl --wait 600")(sync)
    app.command(
        epilog="Example: twinbert index delete docs.index doc-17 doc-18  ·  "
        "twinbert index delete docs.index --ids gone.txt"
    )(delete)
    app.command(epilog="Example: twinbert index rollback docs.index  ·  twinbert index rollback docs.index 3")(rollback)


def upsert(
    index: IndexPath,
    corpus: Corpora,
    model: ModelName = None,
    dry_run: DryRun = False,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Add documents, or replace those of the same id; the rest stay. Unchanged texts are not encoded again."""
    from ..retrieval import Retriever, read_documents

    started = time.perf_counter()
    with Retriever.open(index, model, threads=usable_threads()) as retriever:
        documents = noting_blank(read_documents(corpus))
        if dry_run:
            plan = retriever.upsert(documents, dry_run=True, wait=wait)
            print_plan(retriever.index, plan, started, as_json=as_json)
            return
        with progress_bar("encoding", quiet=quiet) as progress:
            report = retriever.upsert(documents, progress, wait=wait)
        report = tidied(retriever.index, report, wait, retriever)
    print_changes(report, started, as_json=as_json)


def sync(
    index: IndexPath,
    corpus: Corpora,
    model: ModelName = None,
    dry_run: DryRun = False,
    allow_empty: Annotated[
        bool,
        typer.Option("--allow-empty", help="Remove all documents where the corpus is empty, which is refused else."),
    ] = False,
    wait: Wait = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Make the index hold exactly this corpus: add what is new, replace what has changed, remove the rest.

    It says what it will do before it encodes anything, and `twinbert index rollback` undoes it.
    """
    from ..retrieval import Retriever, read_documents

    started = time.perf_counter()
    with Retriever.open(index, model, threads=usable_threads()) as retriever:
        documents = noting_blank(read_documents(corpus))
        if dry_run:
            plan = retriever.sync(documents, dry_run=True, wait=wait)
            print_plan(retriever.index, plan, started, as_json=as_json)
            return
        with progress_bar("encoding", quiet=quiet) as progress:
            report = retriever.sync(documents, progress, allow_empty=allow_empty, planned=note_plan, wait=wait)
        report = tidied(retriever.index, report, wait, retriever)
    print_changes(report, started, as_json=as_json)


def delete(
    index: IndexPath,
    ids: Annotated[Optional[list[str]], typer.Argument(metavar="[ID…]", help="Ids to delete.")] = None,  # noqa: UP045
    file: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option("--ids", metavar="FILE", help="A file with one id a line; - for standard input."),
    ] = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Delete documents by id, all at once; ids that are not there are counted as missing."""
    from ..index import Index
    from ..retrieval import read_ids

    wanted = [*(ids or []), *(read_ids(file) if file else [])]
    if not wanted:
        raise UsageError("no ids: name them, or a file of them with --ids")
    with Index.open(index) as opened:
        with opened.writer(wait=wait) as writer:
            writer.delete(wanted)
            report = writer.commit()
        tidied(opened, report, wait)
    print_facts({"removed": report.removed, "missing": report.missing}, as_json=as_json)


def rollback(
    index: IndexPath,
    commits: Annotated[int, typer.Argument(metavar="[N]", min=1, help="Changes to undo.")] = 1,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Undo the last N changes, documents and all; compactions are not counted.

    This is a change itself, so another rollback undoes it. `twinbert index history` shows what there is to undo.
    """
    from ..index import Index

    started = time.perf_counter()
    with Index.open(index) as opened:
        report = tidied(opened, opened.rollback(commits, wait=wait), wait)
    print_changes(report, started, as_json=as_json)
