"""``twinbert index get``, ``info``, ``history``, ``verify``, ``compact`` and ``gc``: looks, and keeps things well."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInputError
from .build_options import TuneQueries, note_built, tuning_queries
from .options import AsJson, IndexPath, ModelName, Wait
from .output import print_columns, print_facts, print_json, print_line
from .tuning import print_tuning

if TYPE_CHECKING:
    from ..index import CommitInfo


def register(app: typer.Typer) -> None:
    """Add the six commands."""
    app.command(epilog="Example: twinbert index get docs.index doc-17")(get)
    app.command(epilog="Example: twinbert index info docs.index --json")(info)
    app.command(epilog="Example: twinbert index history docs.index")(history)
    app.command(epilog="Example: twinbert index verify docs.index")(verify)
    app.command(epilog="Example: twinbert index compact docs.index")(compact)
    app.command(epilog="Example: twinbert index gc docs.index --keep 10")(gc)


def get(
    index: IndexPath,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids to look up.", show_default=False)],
) -> None:
    """Print documents by id as JSON lines, as a corpus would have them.

    Exit status 1 when one is missing; the others are printed all the same.
    """
    from ..index import Index
    from ..retrieval import corpus_row, document_of

    with Index.open(index) as opened:
        found = opened.get(ids)
    for stored in found:
        if stored is not None:
            print_json(corpus_row(document_of(stored)))
    missing = [identifier for identifier, stored in zip(ids, found, strict=True) if stored is None]
    if missing:
        raise InvalidInputError(f"not in the index: {', '.join(missing)}")


def info(index: IndexPath, as_json: AsJson = False) -> None:
    """Show what an index holds."""
    from ..index import Index
    from ..retrieval.filters import names_of

    with Index.open(index) as opened:
        found, fields = opened.info(), list(names_of(opened.options.filterable))
    facts = asdict(found) | {"filterable": fields}
    if as_json:
        print_json(facts)
        return
    del facts["tuning"]
    print_facts(facts | {"filterable": ", ".join(fields) or "-"}, as_json=False)
    if found.tuning is not None:
        print_tuning(found.index_key, found.tuning)


def history(index: IndexPath, as_json: AsJson = False) -> None:
    """List the commits that an index remembers, the last one first.

    The column "undo" says how many changes `twinbert index rollback` undoes to get back to before a commit.
    """
    from ..index import Index

    with Index.open(index) as opened:
        commits = opened.history()
    if as_json:
        print_json({"commits": [asdict(commit) for commit in commits]})
    else:
        _print_commits(commits)


def verify(index: IndexPath, as_json: AsJson = False) -> None:
    """Check every file of an index; exit status 1 when one is damaged."""
    from ..index import Index

    with Index.open(index) as opened:
        problems = opened.verify()
    if as_json:
        print_json({"sound": not problems, "problems": [{"file": p.file, "message": p.message} for p in problems]})
    elif not problems:
        print_line("sound")
    else:
        for problem in problems:
            print_line(f"{problem.file}: {problem.message}")
    if problems:
        raise typer.Exit(1)


def compact(
    index: IndexPath,
    tune_queries: TuneQueries = None,
    model: ModelName = None,
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Write fresh documents and the segment into one new segment, and leave the dead out.

    The model is needed only to tune the search effort anew, with --tune-queries.
    """
    from ..index import Index
    from ..retrieval import Retriever

    queries = tuning_queries(tune_queries)
    if queries is None:
        with Index.open(index) as opened:
            generation = opened.compact(wait=wait)
    else:
        with Retriever.open(index, model) as retriever:
            generation = retriever.compact(queries, wait=wait)
            note_built(retriever.index, tune_queries)
    print_facts({"generation": generation}, as_json=as_json)


def gc(
    index: IndexPath,
    keep: Annotated[
        int, typer.Option(metavar="N", min=0, help="Changes that can still be undone afterwards.", show_default=False)
    ],
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Forget older history, and give its space back to the disk."""
    from ..index import Index

    with Index.open(index) as opened:
        print_facts(asdict(opened.gc(keep, wait=wait)), as_json=as_json)


def _print_commits(commits: list[CommitInfo]) -> None:
    names = ("number", "made", "kind", "added", "changed", "removed", "documents")
    rows: list[list[str]] = [[*names, "undo"]]
    undone = 0
    for commit in commits:
        undone += commit.undoable
        facts = [getattr(commit, name) for name in names]
        shown = [f"{fact:,}" if isinstance(fact, int) else fact for fact in facts]
        rows.append([*shown, str(undone) if commit.undoable else ""])
    print_columns(rows)
