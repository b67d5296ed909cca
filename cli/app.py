"""The command's frame: its groups, ``--version``, and how errors leave it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from .. import __version__
from ..errors import TwinBertError
from . import demo_command, eval_command, index_commands, model_commands, search_command, train_commands
from .output import console, print_line

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 plus the signal's number."""

app = typer.Typer(
    name="twinbert",
    help="Two-stage text retrieval: a two-tower BERT, a FAISS index with live updates, a rerank from cached vectors.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo_command.demo)
app.add_typer(index_commands.app, name="index")
app.command("search")(search_command.search)
app.command("eval")(eval_command.evaluate_index)
app.add_typer(model_commands.app, name="model")
app.add_typer(train_commands.app, name="train")


def _show_version(wanted: bool) -> None:
    if wanted:
        import apsw

        parts = [f"{name} {version(name)}" for name in ("faiss-cpu", "onnxruntime")]
        print_line(f"twinbert {__version__} ({', '.join(parts)}, SQLite {apsw.sqlite_lib_version()})")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show versions and leave.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: exit status 0 done, 1 could not be done, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except TwinBertError as error:
        console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("interrupted: nothing became visible; a build goes on with --resume", soft_wrap=True)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
