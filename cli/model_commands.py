"""``twinbert model …``: look at models, and bring them in and out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from ..errors import MissingExtraError
from .options import AsJson
from .output import note, note_unmeasured, print_facts, print_line

if TYPE_CHECKING:
    from ..encoders import Weights
    from ..encoders.config import TowerConfig, TwinConfig

app = typer.Typer(help="Look at models, import, export and push them.", no_args_is_help=True)


@app.command(epilog="Example: twinbert model info starter")
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="starter, a model folder or a hub id.")] = "starter",
    as_json: AsJson = False,
) -> None:
    """Show a model's shape, its vector space and what it serves; loads it to be sure that it can serve."""
    from ..encoders import TwinEncoder

    encoder = TwinEncoder.from_pretrained(model)
    config = encoder.config
    facts = {
        "model": encoder.source,
        "space": encoder.space,
        "dimension": encoder.dimension,
        "tokenizer": _each(config, lambda tower: tower.tokenizer),
        "layers": _each(config, lambda tower: tower.layers),
        "hidden_size": _each(config, lambda tower: tower.hidden_size),
        "pooling": _each(config, lambda tower: tower.pooling),
        "towers": config.towers,
        "query_tokens": config.query_tokens,
        "document_tokens": config.document_tokens,
        "crossings": "cosine and residual" if encoder.has_head else "cosine",
        "weights": _told(encoder.weights, as_json=as_json),
        "language": config.language or "",
    }
    print_facts(facts, as_json=as_json)


def _told(weights: Weights, *, as_json: bool) -> str | dict[str, float]:
    """Weights as an object for programs, and as `twinbert search --weights` takes them for people."""
    values: dict[str, float] = asdict(weights)
    return values if as_json else ",".join(f"{name}={value:g}" for name, value in values.items())


def _each(config: TwinConfig, value: Callable[[TowerConfig], str | int]) -> str | int:
    """A fact of both towers: one value where they agree, ``query / document`` where they do not."""
    query, document = (value(config.tower_of(side)) for side in ("query", "document"))
    return document if query == document else f"{query} / {document}"


@app.command(
    "import", epilog="Example: twinbert model import sentence-transformers/all-MiniLM-L6-v2 my-model --revision main"
)
def import_(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="A sentence-transformers folder or hub id.", show_default=False)
    ],
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="New folder for the model.", show_default=False)],
    revision: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option(metavar="NAME", help="Branch, tag or commit of a hub id."),
    ] = None,
    local_files_only: Annotated[bool, typer.Option("--local-files-only", help="Download nothing.")] = False,
    without_prompts: Annotated[
        bool, typer.Option("--without-prompts", help="Import a model that puts prompts before texts, without them.")
    ] = False,
) -> None:
    """Make a twin model of a sentence-transformers model of the BERT family: one tower, its own vectors, cosine alone.

    A residual head can be trained on it afterwards.
    """
    try:
        from ..encoders.training.importing import ImportOptions, import_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"importing ({error.name})", "train") from error
    options = ImportOptions(revision=revision, local_files_only=local_files_only, without_prompts=without_prompts)
    folder = import_model(source, model, options)
    note("it serves the cosine alone, until a residual head is trained on it")
    note_unmeasured(str(folder.root))
    print_line(str(folder.root))


@app.command(epilog="Example: twinbert model push my-model someone/my-model --private")
def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model folder or hub id.", show_default=False)],
    repo_id: Annotated[str, typer.Argument(metavar="REPO_ID", help="owner/name on the hub.", show_default=False)],
    revision: Annotated[
        Optional[str],  # noqa: UP045 - read at run time
        typer.Option(metavar="NAME", help="Branch to push to, made when it is not there."),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Open a pull request.")] = False,
) -> None:
    """Push a model to the Hugging Face hub, as who logged in there last; prints the commit's address."""
    from ..encoders import TwinEncoder

    encoder = TwinEncoder.from_pretrained(model)
    address = encoder.push_to_hub(repo_id, revision=revision, private=private or None, create_pr=create_pr)
    print_line(address)


@app.command(epilog="Example: twinbert model export my-model --int8-recipe two-part-qkv")
def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model folder with its fp32 weights.", show_default=False)
    ],
    recipe: Annotated[
        str, typer.Option("--int8-recipe", metavar="NAME", help="auto tries all, and keeps the cheapest good one.")
    ] = "auto",
    table: Annotated[
        str, typer.Option("--int8-table", metavar="int8|int4", help="Format of the token table.")
    ] = "int8",
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Export even if int8 keeps too few of fp32's neighbours.")
    ] = False,
    calibration: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FILE", help="Texts to calibrate int8 with, one a line. [default: 512 of the package's]"),
    ] = None,
    texts: Annotated[
        Optional[Path],  # noqa: UP045 - read at run time
        typer.Option(metavar="FILE", help="Texts to measure int8 by, one a line. [default: this Python's own docs]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a model's ONNX graphs, crossings and checksums again from its fp32 weights and config.json.

    Shows what each int8 recipe keeps of fp32's ten nearest documents, and its speed.
    """
    try:
        from ..encoders.training.quantisation.recipe import Int8Options
        from ..encoders.training.saving import export as write
        from ..encoders.training.saving import load
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"exporting ({error.name})", "train") from error
    from ..encoders import ModelFolder
    from .parity import export_texts, print_report

    options = Int8Options(recipe=recipe, table=table, accept_loss=accept_loss)
    folder = ModelFolder(model)
    report = write(load(folder), folder, options, export_texts(calibration, texts))
    print_report(report, as_json=as_json)
