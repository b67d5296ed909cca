"""``twinbert train tune``: one's own labels into a model, in minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from ..errors import InvalidInputError, MissingExtraError
from .options import AsJson, Quiet
from .output import note, print_json, print_table, stage_bar
from .train_commands import Changes, Seed

if TYPE_CHECKING:
    from ..encoders.training.tune_options import TuneOptions

MINUTES = 5.0


Original = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Model folder with its fp32 weights.", show_default=False)
]
Dataset = Annotated[
    Path,
    typer.Argument(
        metavar="DATASET",
        help="BEIR folder: learned from qrels/train.tsv; qrels/dev.tsv is only reported.",
        show_default=False,
    ),
]
Tuned = Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the tuned model.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: twinbert train tune my-model wikiqa/ my-tuned-model  |  "
        "twinbert train tune my-model tickets/ tuned --mix manuals/ --general texts.jsonl --minutes 10  |  "
        "twinbert train tune my-model tickets/ tuned --query-tower-only"
    )(tune)


def tune(
    model: Original,
    dataset: Dataset,
    out: Tuned,
    mix: Annotated[
        Optional[list[Path]],  # noqa: UP045 - read at run time
        typer.Option(metavar="FOLDER", help="Another BEIR folder, whose questions are mixed with the first one's."),
    ] = None,
    scores: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="DATASET's pairs with a teacher's score, from twinbert train score."),
    ] = None,
    general: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FILE", help="Texts whose vectors are to stay: JSONL (title, text), or one a line."),
    ] = None,
    query_tower_only: Annotated[
        bool, typer.Option("--query-tower-only", help="Leave document vectors, and indexes, as they are.")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.1, help="Of everything but the export.")] = MINUTES,
    threshold: Annotated[int, typer.Option(help="Grade from which a document is relevant.")] = 1,
    seed: Seed = None,
    changes: Changes = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Tune a model on judged questions without forgetting the rest; says "no change" where nothing is gained.

    Then fits what a score is made of (words, segments, head beside the cosine) on the questions held out.

    What is tried, and every field that --set takes: docs/training.md.
    """
    try:
        from ..encoders.training.tune import TuneData, tune
        from ..encoders.training.tune_report import report_rows, verdict
        from .tune_data import read_domain, read_general
        from .tune_weights import fit_tuned_weights, told_weights, weights_row
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    flags = {"minutes": minutes, "query_tower_only": query_tower_only, "seed": seed}
    options = _options(flags, changes or ())
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidInputError("something is there already: name a new folder for the model", path=out)
    domains = [read_domain(dataset, threshold, scores), *(read_domain(folder, threshold) for folder in mix or ())]
    data = TuneData(domains, read_general(general) if general else ())
    with stage_bar(quiet=quiet) as progress:
        report = tune(model, data, out, options, progress)
        progress("fitting weights", 0, 1)
        weights = fit_tuned_weights(out, data, options)
        progress("fitting weights", 1, 1)
    if as_json:
        print_json({"model": str(out)} | report.facts() | weights)
    else:
        print_table([*report_rows(report), weights_row(weights)])
        note(f"weights: {told_weights(weights)}")
        note(verdict(report))


def _options(flags: Mapping[str, Any], changes: Sequence[str]) -> TuneOptions:
    """What was said on the command line, ``--set`` above the flags."""
    from ..encoders.training.recipe import parse_change
    from ..encoders.training.tune_options import read_options

    given = {name: value for change in changes for name, value in parse_change(change).items()}
    return read_options({name: value for name, value in flags.items() if value is not None} | given)
