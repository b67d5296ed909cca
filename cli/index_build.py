"""``twinbert index build``."""

from __future__ import annotations

import time
from typing import Annotated, Optional

import typer

from .index_changes import noting_blank, print_changes
from .options import AsJson, Corpora, IndexPath, Quiet, Wait
from .output import progress_bar
from .threads import usable_threads


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: twinbert index build docs.index corpus.jsonl  ·  "
        "cat new.jsonl | twinbert index build docs.index -"
    )(build)


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
    history: Annotated[
        int, typer.Option(metavar="N", min=0, help="Changes that can be undone by `twinbert index rollback`.")
    ] = 100,
    wait: Wait = None,
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
    documents, options = noting_blank(read_documents(corpus)), BuildOptions(index_key=index_key, history=history)
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
            wait=wait,
        ) as retriever,
    ):
        report = retriever.last_report
    print_changes(report, started, as_json=as_json)
