"""``twinbert index …``: build, change and look after an index."""

from __future__ import annotations

import typer

from . import index_build, index_care, index_export, index_updates

app = typer.Typer(help="Build, update and look after an index.", no_args_is_help=True)
index_build.register(app)
index_updates.register(app)
index_care.register(app)
index_export.register(app)
