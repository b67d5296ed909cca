"""Arguments and options that several commands share, each told once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

IndexPath = Annotated[Path, typer.Argument(metavar="INDEX", help="Folder of the index.", show_default=False)]
Corpora = Annotated[
    list[str],
    typer.Argument(
        metavar="CORPUS…",
        help="JSONL, CSV or TSV, plain or .gz; - for JSONL from standard input. Fields: _id, title, text, metadata.",
        show_default=False,
    ),
]
ModelName = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it at run time, on Python 3.10 too
    typer.Option("--model", metavar="MODEL", help="Model folder or hub id instead of the one that the index names."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Wait = Annotated[
    Optional[float],  # noqa: UP045 - as above
    typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for somebody else who writes."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
