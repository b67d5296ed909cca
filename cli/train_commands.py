"""``twinbert train …``: make a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from ..errors import MissingExtraError
from .options import Quiet
from .output import print_line, progress_bar

app = typer.Typer(help='Train models; needs pip install "twinbert\\[train]".', no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Train models."""


@app.command(
    epilog="Example: twinbert train distill pairs.jsonl my-model --recipe starter.toml --teacher all-MiniLM-L6-v2/"
)
def distill(
    pairs: Annotated[
        Path,
        typer.Argument(help="JSONL of query, document and, without a teacher, score in [0, 1].", show_default=False),
    ],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="New folder for the model.", show_default=False)],
    recipe: Annotated[Path, typer.Option(metavar="FILE", help="The run in TOML.", show_default=False)],
    teacher: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FOLDER", help="A mean-pooling sentence-transformers folder whose vectors are taught."),
    ] = None,
    work: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FOLDER", help="Checkpoints and the teacher's vectors. [default: MODEL.work]"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into two towers and both crossings, and export them to ONNX."""
    try:
        from ..encoders.training.run import Inputs, run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    inputs = Inputs(pairs, teacher, work or model.with_name(model.name + ".work"))
    with progress_bar("teacher", quiet=quiet) as progress:
        folder = run(inputs, recipe, model, resume=resume, progress=progress)
    print_line(str(folder.root))
