"""``twinbert index …``: build, change and look after an index."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InvalidInputError, TwinBertError
from .options import AsJson, Corpora, IndexPath, ModelName, Quiet
from .output import note, print_facts, print_json, print_line, progress_bar
from .threads import usable_threads
from .usage import UsageError

if TYPE_CHECKING:
    from ..index import ChangeReport, Index
    from ..retrieval import Document

app = typer.Typer(help="Build, update and look after an index.", no_args_is_help=True)


@app.command(
    epilog="Example: twinbert index build docs.index corpus.jsonl  ·  cat new.jsonl | twinbert index build docs.index -"
)
def build(
    index: IndexPath,
    corpus: Corpora,
    model: Annotated[str, typer.Option(metavar="MODEL", help="starter, a model folder or a hub id.")] = "starter",
    index_key: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option(metavar="KEY", help="Flat or HNSW<M>; by default Flat below 10,000 distinct texts, HNSW32 above."),
    ] = None,
    filterable: Annotated[
        Optional[list[str]],  # noqa: UP045 - read at run time
        typer.Option(
            metavar="FIELD",
            help="Make filters on this field fast, as: --filterable lang --filterable author.name; others work too.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an index that is there.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a build that was stopped.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Encode a corpus into a new index.

    The corpus is read to the end first: a bad row leaves everything as it was.
    """
    from ..encoders import TwinEncoder
    from ..index import BuildOptions
    from ..retrieval import Retriever, read_documents

    started = time.perf_counter()
    documents, options = noting_blank(read_documents(corpus)), BuildOptions(index_key=index_key)
    encoder = TwinEncoder.from_pretrained(model, threads=usable_threads())
    with (
        progress_bar("encoding", quiet=quiet) as progress,
        Retriever.build(
            index,
            documents,
            encoder,
            options,
            filterable=filterable or (),
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        ) as retriever,
    ):
        report = retriever.last_report
    _print_changes(report, started, as_json=as_json)


@app.command(epilog="Example: twinbert index upsert docs.index changed.jsonl")
def upsert(
    index: IndexPath, corpus: Corpora, model: ModelName = None, as_json: AsJson = False, quiet: Quiet = False
) -> None:
    """Add documents, or replace those of the same id; the rest stay. Unchanged texts are not encoded again."""
    from ..retrieval import Retriever, read_documents

    started = time.perf_counter()
    with Retriever.open(index, model, threads=usable_threads()) as retriever:
        with progress_bar("encoding", quiet=quiet) as progress:
            report = retriever.upsert(noting_blank(read_documents(corpus)), progress)
        report = _tidied(retriever.index, report)
    _print_changes(report, started, as_json=as_json)


@app.command(
    epilog="Example: twinbert index delete docs.index doc-17 doc-18  ·  twinbert index delete docs.index --ids gone.txt"
)
def delete(
    index: IndexPath,
    ids: Annotated[Optional[list[str]], typer.Argument(metavar="[ID…]", help="Ids to delete.")] = None,  # noqa: UP045
    file: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option("--ids", metavar="FILE", help="A file with one id a line; - for standard input."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Delete documents by id, all at once; ids that are not there are counted as missing."""
    from ..index import Index
    from ..retrieval import read_ids

    wanted = [*(ids or []), *(read_ids(file) if file else [])]
    if not wanted:
        raise UsageError("no ids: name them, or a file of them with --ids")
    with Index.open(index) as opened:
        with opened.writer() as writer:
            writer.delete(wanted)
            report = writer.commit()
        _tidied(opened, report)
    print_facts({"removed": report.removed, "missing": report.missing}, as_json=as_json)


@app.command(epilog="Example: twinbert index get docs.index doc-17")
def get(
    index: IndexPath,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Ids to look up.", show_default=False)],
) -> None:
    """Print documents by id as JSON lines, as a corpus would have them.

    Exit status 1 when one is missing; the others are printed all the same.
    """
    from ..index import Index
    from ..retrieval import document_of

    with Index.open(index) as opened:
        found = opened.get(ids)
    for stored in found:
        if stored is not None:
            document = document_of(stored)
            row = {"_id": document.id, "title": document.title, "text": document.text}
            print_json(row | dict(document.metadata))
    missing = [identifier for identifier, stored in zip(ids, found, strict=True) if stored is None]
    if missing:
        raise InvalidInputError(f"not in the index: {', '.join(missing)}")


@app.command(epilog="Example: twinbert index info docs.index --json")
def info(index: IndexPath, as_json: AsJson = False) -> None:
    """Show what an index holds."""
    from ..index import Index
    from ..retrieval.filters import names_of

    with Index.open(index) as opened:
        fields = list(names_of(opened.options.filterable))
        facts = asdict(opened.info()) | {"filterable": fields if as_json else ", ".join(fields) or "-"}
    print_facts(facts, as_json=as_json)


@app.command(epilog="Example: twinbert index verify docs.index")
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


@app.command(epilog="Example: twinbert index compact docs.index")
def compact(index: IndexPath, as_json: AsJson = False) -> None:
    """Write fresh documents and the segment into one new segment, and leave the dead out."""
    from ..index import Index

    with Index.open(index) as opened:
        print_facts({"generation": opened.compact()}, as_json=as_json)


def noting_blank(documents: Iterable[Document]) -> Iterator[Document]:
    """Pass documents on, and say at the end how many of them hold nothing to search for."""
    blank: list[str] = []
    for document in documents:
        if not document.full_text:
            blank.append(document.id)
        yield document
    if blank:
        more = "" if len(blank) == 1 else f" and {len(blank) - 1} more"
        note(f"note: document {blank[0]!r}{more}: neither title nor text, kept but hard to find")


def _tidied(index: Index, report: ChangeReport) -> ChangeReport:
    """Compact an index that a change left worn, and give the change's report with the generation after it.

    The change is stored by then: where compacting fails, a note says so and the command has succeeded.
    """
    try:
        return replace(report, generation=index.compact()) if index.is_worn else report
    except TwinBertError as error:
        note(f"note: the change is stored, but the index could not be compacted: {error}")
        return report


def _print_changes(report: Any, started: float, *, as_json: bool) -> None:  # noqa: ANN401
    seconds = round(time.perf_counter() - started, 3)
    names = ("added", "changed", "unchanged", "removed", "documents", "generation")
    print_facts({name: getattr(report, name) for name in names} | {"seconds": seconds}, as_json=as_json)
