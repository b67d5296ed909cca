"""Options of searching, which ``search`` and ``eval`` share."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Optional

import typer


class Kind(str, Enum):
    """Where candidates come from."""

    AUTO = "auto"
    DENSE = "dense"
    LEXICAL = "lexical"
    BOTH = "both"


Depth = Annotated[
    Optional[int],  # noqa: UP045 - typer reads it at run time, on Python 3.10 too
    typer.Option(min=1, help="Candidates to rerank; by default 100, or k where that is more."),
]
Candidates = Annotated[
    Kind,
    typer.Option(
        help="Nearest vectors, documents with the query's words, or up to --depth of both; auto takes both where the "
        "model knows little of the query."
    ),
]
Rerank = Annotated[bool, typer.Option(help="Rerank by words, segments and head, or keep the candidates' order.")]
WeightsText = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option(
        "--weights",
        metavar="NAME=W,…",
        help="What a score is made of, as lexical=0.05,segments=0.3 (also cosine, head, unfamiliar); those left out "
        "are the model's own.",
    ),
]
Explain = Annotated[
    bool, typer.Option("--explain", help="Show what each score is made of, and the segment that matched.")
]
Exact = Annotated[bool, typer.Option("--exact", help="Compare with every vector.")]
EfSearch = Annotated[
    Optional[int],  # noqa: UP045 - as above
    typer.Option(min=1, help="Candidates that an HNSW index examines; by default as it was tuned."),
]
Nprobe = Annotated[
    Optional[int],  # noqa: UP045 - as above
    typer.Option(min=1, help="Lists that an IVF index searches; by default as it was tuned."),
]
Filter = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option("--filter", metavar="EXPR", help='Only documents that match, as: lang = "de" and not year < 2020'),
]
