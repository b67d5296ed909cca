"""``twinbert train teacher``, ``score`` and ``mine``: a teacher, its soft labels, and pairs to label."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import msgspec
import typer

from ..errors import InvalidInputError, MissingExtraError
from ..eval import read_judged_texts, read_qrels
from ..retrieval import MinedPair, MiningOptions, Retriever, mine_pairs, read_queries
from .options import AsJson, IndexPath, ModelName, Quiet
from .output import print_facts, progress_bar
from .threads import usable_threads
from .train_commands import Changes, RecipeFile, Seed

if TYPE_CHECKING:
    from ..encoders.training.pair_files import JudgedPair
    from ..encoders.training.teacher_training import TeacherReport

_DEFAULTS = MiningOptions()
Split = Annotated[str, typer.Option(help="Judgements of a BEIR folder: qrels/SPLIT.tsv.")]
Threshold = Annotated[int, typer.Option(help="Grade in a BEIR folder from which a document matches.")]
Local = Annotated[bool, typer.Option("--local-files-only", help="Never ask the hub.")]
Guide = Annotated[
    Optional[Path],  # noqa: UP045 - read at run time
    typer.Option(
        metavar="FOLDER", help="A mean-pooling sentence-transformers folder that the first epochs learn from."
    ),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")]


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command(
        epilog="Example: twinbert train teacher scifact/ my-teacher --model all-MiniLM-L6-v2/ --split train  |  "
        "twinbert train teacher judged.jsonl my-teacher --model bert-base-uncased --set held_out=0.1"
    )(teacher)
    app.command(epilog="Example: twinbert train score my-teacher pairs.jsonl.gz scored.jsonl --resume")(score)
    app.command(
        epilog="Example: twinbert train mine docs.index pairs.jsonl --queries queries.jsonl --qrels qrels/train.tsv "
        "--per-query 8 --random 2"
    )(mine)


def teacher(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Judged pairs: a BEIR folder, or JSONL, TSV (each also .gz) or Parquet of query, document, label.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="TEACHER", help="New folder for the teacher.", show_default=False)],
    model: Annotated[
        str, typer.Option(metavar="CHECKPOINT", help="Folder or hub id that is fine-tuned.", show_default=False)
    ],
    split: Split = "train",
    threshold: Threshold = 1,
    guide: Guide = None,
    recipe: RecipeFile = None,
    changes: Changes = None,
    seed: Seed = None,
    work: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(metavar="FOLDER", help="Checkpoints and the guide's vectors. [default: TEACHER.work]"),
    ] = None,
    resume: Resume = False,
    local: Local = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a sequence-pair classifier on judged pairs."""
    try:
        from ..encoders.training.recipe import parse_change
        from ..encoders.training.teacher_recipe import read_teacher_recipe
        from ..encoders.training.teacher_training import TeacherFiles, train_teacher
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    given = {name: value for change in changes or () for name, value in parse_change(change).items()}
    chosen = read_teacher_recipe(recipe, given if seed is None else {**given, "seed": seed})
    files = TeacherFiles(
        checkpoint=model,
        target=out,
        work=work or out.with_name(out.name + ".work"),
        guide=guide,
        local_files_only=local,
    )
    pairs = _judged_pairs(data, split, threshold)
    with progress_bar("steps", quiet=quiet) as progress:
        report = train_teacher(pairs, chosen, files, resume=resume, progress=progress)
    print_facts(_facts(out, report), as_json=as_json)


def score(
    teacher: Annotated[
        str,
        typer.Argument(metavar="TEACHER", help="Folder or hub id of a cross-encoder.", show_default=False),
    ],
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="JSONL or TSV, each also .gz, or Parquet, of query, document and anything else.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New JSONL: each pair and its score.", show_default=False)],
    longest: Annotated[
        Optional[int],  # noqa: UP045 - read at run time
        typer.Option(min=8, help="Tokens of a pair. [default: what the teacher was trained at]"),
    ] = None,
    resume: Resume = False,
    local: Local = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a teacher's probability beside every pair: the soft labels that distill learns from."""
    try:
        from ..encoders.training.cross_encoder import CrossEncoder
        from ..encoders.training.scoring import score_pairs
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"training ({error.name})", "train") from error
    encoder = CrossEncoder.load(teacher, longest, local_files_only=local)
    with progress_bar("pairs", quiet=quiet) as progress:
        report = score_pairs(pairs, out, encoder, resume=resume, progress=progress)
    print_facts({"output": str(out), **asdict(report)}, as_json=as_json)


def mine(
    index: IndexPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New JSONL of pairs with label.", show_default=False)],
    queries: Annotated[
        Path, typer.Option(metavar="FILE", help="Queries: _id and text, in JSONL, CSV or TSV.", show_default=False)
    ],
    qrels: Annotated[Path, typer.Option(metavar="FILE", help="What matches: BEIR's TSV or TREC.", show_default=False)],
    depth: Annotated[int, typer.Option(min=1, help="Ranks that negatives are drawn from.")] = _DEFAULTS.depth,
    skip: Annotated[int, typer.Option(min=0, help="First ranks left out.")] = _DEFAULTS.skip,
    per_query: Annotated[int, typer.Option(min=0, help="Mined negatives of a query.")] = _DEFAULTS.per_query,
    random: Annotated[int, typer.Option(min=0, help="Random negatives of a query.")] = _DEFAULTS.random,
    margin: Annotated[
        Optional[float],  # noqa: UP045 - read at run time
        typer.Option(help="A mined one's cosine lies at least so far below the best match's."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search exactly.")] = False,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = _DEFAULTS.seed,
    model: ModelName = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Draw negatives for judged queries from an index, most of them unjudged: pairs to train or score."""
    options = MiningOptions(
        depth=depth, skip=skip, per_query=per_query, random=random, margin=margin, exact=exact, seed=seed
    )
    if out.exists():
        raise InvalidInputError("this file is there already: name a new one", path=out)
    asked, judged = read_queries(queries), read_qrels(qrels)
    with (
        Retriever.open(index, model, threads=usable_threads()) as retriever,
        progress_bar("queries", quiet=quiet) as progress,
    ):
        counts = _write_pairs(out, mine_pairs(retriever, asked, judged, options, progress))
    print_facts({"pairs": str(out), **counts}, as_json=as_json)


def _judged_pairs(data: Path, split: str, threshold: int) -> list[JudgedPair]:
    from ..encoders.training.pair_files import JudgedPair, read_judged_pairs

    if not data.is_dir():
        return read_judged_pairs(data)
    texts = read_judged_texts(data, split)
    return [JudgedPair(text.query, text.document, float(text.grade >= threshold)) for text in texts]


def _facts(out: Path, report: TeacherReport) -> dict[str, Any]:
    facts = {"teacher": str(out), **asdict(report)}
    measures: dict[str, float] | None = facts.pop("measures")
    return facts | {name: round(value, 4) for name, value in (measures or {}).items()}


def _write_pairs(out: Path, pairs: Iterable[MinedPair]) -> Mapping[str, int]:
    """Write pairs beside the place and move them there; gives how many there are of each origin."""
    counts = {"judged": 0, "mined": 0, "random": 0}
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as file:
        for pair in pairs:
            counts[pair.origin] += 1
            fields = {name: value for name, value in dataclasses.asdict(pair).items() if value is not None}
            file.write(msgspec.json.encode(fields) + b"\n")
    partial.replace(out)
    return counts
