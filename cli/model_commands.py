"""``twinbert model …``: what a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import MissingExtraError
from .options import AsJson
from .output import print_facts, print_line

app = typer.Typer(help="Look at models, and export them.", no_args_is_help=True)


@app.command(epilog="Example: twinbert model info starter")
def info(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="starter, a model folder or a hub id.")] = "starter",
    as_json: AsJson = False,
) -> None:
    """Show a model's shape, its vector space and what it serves; loads it to be sure that it can serve."""
    from ..encoders import TwinEncoder

    encoder = TwinEncoder.from_pretrained(model)
    tower = encoder.config.tower
    facts = {
        "model": encoder.source,
        "space": encoder.space,
        "dimension": encoder.dimension,
        "tokenizer": tower.tokenizer,
        "layers": tower.layers,
        "hidden_size": tower.hidden_size,
        "towers": "shared" if encoder.config.shared else "separate",
        "query_tokens": encoder.config.query_tokens,
        "document_tokens": encoder.config.document_tokens,
        "crossings": "cosine and residual" if encoder.has_head else "cosine",
    }
    print_facts(facts, as_json=as_json)


@app.command(epilog="Example: twinbert model export my-model")
def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="A model folder with its fp32 weights.", show_default=False)
    ],
) -> None:
    """Write a model's ONNX graphs, crossings and checksums again from its fp32 weights and config.json."""
    try:
        from ..encoders.training.saving import export as write
        from ..encoders.training.saving import load
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"exporting ({error.name})", "train") from error
    from ..encoders import ModelFolder

    folder = ModelFolder(model)
    write(load(folder), folder)
    print_line(str(folder.root))
