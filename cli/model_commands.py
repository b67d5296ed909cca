"""``twinbert model …``: what a model is."""

from __future__ import annotations

from typing import Annotated

import typer

from .options import AsJson
from .output import print_facts

app = typer.Typer(help="Look at models.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at models."""


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
