"""The command's frame: its groups, ``--version``, and how errors leave it."""

from __future__ import annotations

import io
import os
import sys
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer

from .. import __version__
from ..errors import TwinBertError
from . import (
    demo_command,
    eval_command,
    index_commands,
    model_commands,
    search_command,
    teacher_commands,
    train_commands,
    tune_command,
)
from .output import print_line
from .usage import UsageError

WRONG_USAGE = 2
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 plus the signal's number."""

app = typer.Typer(
    name="twinbert",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo_command.demo)
app.add_typer(index_commands.app, name="index")
app.command("search")(search_command.search)
app.command("eval")(eval_command.evaluate_index)
app.add_typer(model_commands.app, name="model")
teacher_commands.register(train_commands.app)
tune_command.register(train_commands.app)
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
    """Two-stage text retrieval: a two-tower BERT, a FAISS index with live updates, a rerank from cached vectors."""


def main() -> None:
    """Run the command line: exit status 0 done, 1 could not be done, 2 wrong usage, 130 interrupted."""
    _write_utf_8()
    try:
        status = app(standalone_mode=False) or 0
    except UsageError as error:
        if message := error.format_message():  # none where a bare group has shown its help
            command = error.ctx.command_path if error.ctx else "twinbert COMMAND"
            _fail(f"{message} (see {command} --help)", WRONG_USAGE)
        sys.exit(WRONG_USAGE)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (TwinBertError, OSError) as error:
        _fail(str(error), 1)
    except MemoryError:
        _fail("out of memory: ask for less at once, or give the process more", 1)
    if status == INTERRUPTED:  # typer itself turns Ctrl-C into this
        _fail("interrupted: only what was reported done is stored; a stopped build goes on with --resume", INTERRUPTED)
    sys.exit(status)


def _write_utf_8() -> None:
    """Data is UTF-8, whatever the locale would have."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _fail(message: str, status: int) -> NoReturn:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    sys.exit(status)
