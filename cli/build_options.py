"""Options of the commands that build an index, and what they say before and after."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from .output import note
from .tuning import note_tuning
from .usage import UsageError

if TYPE_CHECKING:
    from ..index import BuildOptions, Choice, Index

AUTO = "auto"
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY_UNITS = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}

IndexKey = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it at run time, on Python 3.10 too
    typer.Option(
        "--index-key",
        metavar="KEY",
        help="auto (by count, dimension and --memory), Flat (exact), HNSW<M>, HNSW<M>,SQ8 (SQfp16, SQbf16), "
        "IVF<n>,Flat, IVF<n>,SQ8, IVF<n>,PQ<m>x4fs and more of FAISS's factory strings; what cannot serve is refused. "
        "(default: auto)",
    ),
]
Memory = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option(metavar="SIZE", help="Memory that building may take beyond the program's own, as 2G, 512M or 1.5Gi."),
]
TargetRecall = Annotated[
    Optional[float],  # noqa: UP045 - as above
    typer.Option(
        metavar="SHARE", help="Share of the true nearest that a search should find. (default: 0.95)", show_default=False
    ),
]
TargetK = Annotated[
    Optional[int],  # noqa: UP045 - as above
    typer.Option(metavar="K", help="Candidates of a search at which --target-recall is meant. (default: 100)"),
]
VectorType = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option(metavar="TYPE", help="How exact vectors are stored: fp32, or fp16 in half the space. (default: fp32)"),
]
TuneQueries = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option(
        metavar="FILE",
        help="What users ask, to tune the search effort with: JSONL of _id and text, or .txt, one a line.",
    ),
]

Filterable = Annotated[
    Optional[list[str]],  # noqa: UP045 - as above
    typer.Option(
        metavar="FIELD",
        help="Make filters on this field fast, as: --filterable lang --filterable author.name; others work too.",
    ),
]
History = Annotated[int, typer.Option(metavar="N", min=0, help="Changes that `twinbert index rollback` can undo.")]


def chosen_options(
    base: BuildOptions,
    index_key: str | None,
    memory: str | None,
    target_recall: float | None,
    target_k: int | None,
    vector_type: str | None,
) -> BuildOptions:
    """The options of ``base`` with those that were given in their place."""
    given = {"target_recall": target_recall, "target_k": target_k, "vector_type": vector_type}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if index_key is not None:
        changes["index_key"] = None if index_key == AUTO else index_key
    if memory is not None:
        changes["memory"] = parse_size(memory)
    return replace(base, **changes)


def parse_size(text: str) -> int:
    """Bytes of a size for people: ``2G``, ``1.5GiB``, ``512M``, ``4000000``; raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?I?)B?", text.strip(), flags=re.IGNORECASE | re.ASCII)
    unit = None if match is None else (_UNITS | _BINARY_UNITS).get(match[2].upper())
    if match is None or unit is None:
        raise UsageError(f"{text!r} is no size of memory: write it like 2G, 512M, 1.5Gi or a number of bytes")
    return int(float(match[1]) * unit)


def tuning_queries(file: str | None) -> list[str] | None:
    """The queries of a file, if one is named."""
    from ..retrieval import read_tuning_queries

    return None if file is None else read_tuning_queries(file)


def announce(choice: Choice) -> None:
    """Say on stderr what the index will be, before anything is encoded."""
    sizes = [f"vectors about {_shown(choice.vector_bytes)}"]
    if choice.ann_bytes:
        sizes.insert(0, f"index about {_shown(choice.ann_bytes)}")
    memory = f"building takes about {_shown(choice.build_bytes)} of memory"
    note(f"{choice.index_key}: {choice.reason}; {', '.join(sizes)}; {memory}")


def note_built(index: Index, queries: str | None) -> None:
    """Say on stderr what search effort was chosen, and by what queries."""
    info = index.info()
    if info.tuning is not None:
        source = f"queries of {queries}" if queries else "titles and spans of documents"
        note_tuning(info.index_key, info.tuning, "perturbed documents" if info.tuning.proxy else source)


def _shown(size: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} bytes"
