"""``twinbert index export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from .options import IndexPath
from .output import note, print_line
from .usage import UsageError

STDOUT = "-"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: twinbert index export docs.index > corpus.jsonl  ·  "
        "twinbert index export docs.index --out corpus.jsonl.gz --vectors vectors.npy"
    )(export)


def export(
    index: IndexPath,
    out: Annotated[
        str, typer.Option(metavar="FILE", help="JSONL, packed where it ends in .gz; - for standard output.")
    ] = STDOUT,
    vectors: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FILE", help="Also the vectors, in the same order: a .npy file of float32 unit rows."),
    ] = None,
    ids: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FILE", help="Also the ids, in the same order, one a line. [with --vectors: beside it]"),
    ] = None,
) -> None:
    """Write all documents of an index as a corpus, in the order in which they were put.

    What is written is one commit, whatever is written to the index meanwhile; a file appears whole or not at all.
    """
    from ..retrieval import export as write

    if vectors is not None and vectors.suffix != ".npy":
        raise UsageError(f"vectors are written as .npy, not as {vectors.name}: name the file so")
    beside = vectors.with_suffix(".ids.txt") if vectors is not None and ids is None else ids
    documents = write(index, print_line if out == STDOUT else Path(out), vectors=vectors, ids=beside)
    note(f"exported {documents:,} documents")
