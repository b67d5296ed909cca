"""``twinbert train …``: make a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from ..errors import MissingExtraError
from ..retrieval import read_queries
from .options import Quiet
from .output import note_unmeasured, print_line, stage_bar

app = typer.Typer(help='Train models; needs pip install "twinbert\\[train]".', no_args_is_help=True)

Pairs = Annotated[
    Path,
    typer.Argument(help="JSONL of query, document and score (a teacher's) or label (a judgement).", show_default=False),
]
NewModel = Annotated[Path, typer.Argument(metavar="MODEL", help="New folder for the model.", show_default=False)]
Work = Annotated[
    Optional[Path],  # noqa: UP045 - read at run time
    typer.Option(metavar="FOLDER", help="Checkpoints and the teacher's vectors. [default: MODEL.work]"),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Seed = Annotated[Optional[int], typer.Option(help="Of everything that is drawn.")]  # noqa: UP045
Epochs = Annotated[Optional[float], typer.Option(help="Times that the data is read.")]  # noqa: UP045

RecipeFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(metavar="FILE", help="The run in TOML; what follows is laid over it."),
]
Changes = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", metavar="NAME=VALUE", help="Any field of the recipe; docs/training.md has them all."),
]


@app.callback()
def _group() -> None:
    """Train models."""


@app.command(
    epilog="Example: twinbert train distill scored.jsonl my-model --preset paper  |  "
    "twinbert train distill scored.jsonl my-model --checkpoint bert-folder/ --layers 0,1,2 --set loss.hard=0.5  |  "
    "twinbert train distill pairs.jsonl my-model --recipe starter.toml --teacher all-MiniLM-L6-v2/"
)
def distill(
    pairs: Pairs,
    model: NewModel,
    recipe: RecipeFile = None,
    preset: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Shape of the model: paper, mini, small or tiny."),
    ] = None,
    start: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", metavar="MODEL", help="Go on from this twinbert model."),
    ] = None,
    checkpoint: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="CHECKPOINT", help="BERT-family folder or hub id whose layers are copied."),
    ] = None,
    layers: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(metavar="N,N…", help="Which of the checkpoint's layers. [default: the first ones]"),
    ] = None,
    teacher: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="A mean-pooling sentence-transformers folder whose vectors are taught."),
    ] = None,
    epochs: Epochs = None,
    seed: Seed = None,
    changes: Changes = None,
    work: Work = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Distil a teacher into two towers and both crossings, and export them to ONNX.

    The teacher is a score beside each pair (twinbert train score writes them), or a folder whose vectors are taught.
    Fields of a recipe: docs/training.md.
    """
    try:
        from ..encoders.training.recipe import parse_change, read_recipe
        from ..encoders.training.run import Inputs, run
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    flags = {
        "preset": preset,
        "start": {"model": start, "checkpoint": checkpoint, "layers": numbers(layers) if layers else None},
        "schedule": {"epochs": epochs, "seed": seed},
    }
    chosen = read_recipe(recipe, [_given(flags), *(parse_change(change) for change in changes or ())])
    inputs = Inputs(pairs, teacher, work or model.with_name(model.name + ".work"))
    with stage_bar(quiet=quiet) as report:
        folder = run(inputs, chosen, model, resume=resume, report=report)
    note_unmeasured(str(folder.root))
    print_line(str(folder.root))


@app.command(epilog="Example: twinbert train align my-model queries.jsonl corpus.jsonl --out quick-model --layers 0,5")
def align(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="Model with its fp32 weights.", show_default=False)],
    texts: Annotated[
        list[Path],
        typer.Argument(metavar="TEXTS…", help="JSONL of queries or documents (field text).", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="New folder for the model.", show_default=False)],
    layers: Annotated[
        str, typer.Option(metavar="N,N…", help="Layers of the query tower that are kept.", show_default=False)
    ],
    changes: Annotated[
        Optional[list[str]],  # noqa: UP045 - read at run time
        typer.Option("--set", metavar="NAME=VALUE", help="Any field of schedule, for example epochs=3."),
    ] = None,
    work: Work = None,
    resume: Resume = False,
    quiet: Quiet = False,
) -> None:
    """Give a model a smaller, faster query tower; its documents, and the indexes made of them, stay as they are."""
    try:
        from ..encoders import ModelFolder
        from ..encoders.training.align import AlignOptions, align_query_tower
        from ..encoders.training.recipe import parse_change, read_schedule
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    schedule = read_schedule([parse_change(change) for change in changes or ()])
    options = AlignOptions(layers=tuple(numbers(layers)))
    learned = [query.text for path in texts for query in read_queries(path)]
    with stage_bar(quiet=quiet) as report:
        folder = align_query_tower(
            ModelFolder(base),
            learned,
            out,
            options,
            schedule,
            work=work or out.with_name(out.name + ".work"),
            resume=resume,
            report=report,
        )
    note_unmeasured(str(folder.root))
    print_line(str(folder.root))


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    """What was said of the flags, as a recipe's tables."""
    tables = {
        name: _given(value) if isinstance(value, dict) else value for name, value in flags.items() if value is not None
    }
    return {name: value for name, value in tables.items() if value != {}}


def numbers(listed: str) -> list[int]:
    """Numbers with commas between them; raises typer.BadParameter for anything else."""
    try:
        return [int(number) for number in listed.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f'"{listed}" is no list of layers: write numbers with commas, for example 0,2,4'
        ) from None
