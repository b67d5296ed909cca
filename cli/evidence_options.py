"""Options of the commands that build an index: what is cached beside the vectors for the rerank."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from .usage import UsageError

if TYPE_CHECKING:
    from ..retrieval import EvidenceOptions

Language = Annotated[
    Optional[str],  # noqa: UP045 - typer reads it at run time, on Python 3.10 too
    typer.Option(
        metavar="CODE", help="Stem words in this language, as en or de, or none; by default the model's own language."
    ),
]
Segments = Annotated[
    Optional[str],  # noqa: UP045 - as above
    typer.Option(
        metavar="N[xWORDS[xBYTES]]",
        help="Segments of a longer document that are encoded apart, their words and cached bytes; 0 for none. "
        "(default: 4x30x128)",
    ),
]
Lexical = Annotated[
    Optional[bool],  # noqa: UP045 - as above
    typer.Option(
        "--lexical-candidates/--no-lexical-candidates",
        help="Keep what searches with --candidates lexical or both need. (default: yes)",
    ),
]


def chosen_evidence(language: str | None, segments: str | None) -> EvidenceOptions | None:
    """What was asked for; None where nothing was.

    Raises UsageError for segments that cannot be read.
    """
    from ..retrieval import EvidenceOptions

    if language is None and segments is None:
        return None
    chosen = EvidenceOptions()
    if language is not None:
        chosen = replace(chosen, language=None if language == "none" else language)
    return chosen if segments is None else _with_segments(chosen, segments)


def _with_segments(options: EvidenceOptions, text: str) -> EvidenceOptions:
    match = re.fullmatch(r"([0-9]+)(?:x([0-9]+)(?:x([0-9]+))?)?", text.strip(), flags=re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} names no segments: write them like 4, 4x30 or 4x30x128")
    words, width = match[2] or options.segment_words, match[3] or options.segment_width
    return replace(options, segments=int(match[1]), segment_words=int(words), segment_width=int(width))
