"""Texts for an int8 export, and its report as a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .output import print_line, print_table

if TYPE_CHECKING:
    from ..encoders.training.quantisation.parity import Parity, ParityReport
    from ..encoders.training.quantisation.texts import ExportTexts

HEADER = ("recipe", "tower", "cosine", "query", "both", "speed", "MB", "")
"""Narrow enough for 80 columns; ``--json`` has all there is."""


def export_texts(calibration: Path | None, parity: Path | None) -> ExportTexts:
    """The texts of two files of a text a line; this Python's documentation to measure by, where none is named.

    Raises InvalidInputError for a file without texts.
    """
    from ..encoders.training.quantisation.texts import ExportTexts, read_texts, split_texts

    return ExportTexts(
        calibration=None if calibration is None else read_texts(calibration),
        parity=split_texts(_python_texts() if parity is None else read_texts(parity)),
    )


def _python_texts() -> list[str]:
    """Title and first paragraph of what Python's documentation has on each name."""
    from .demo.corpus import read_python_docs

    found = ((one.title, one.text.partition("\n\n")[0]) for one in read_python_docs().documents)
    return [" ".join(f"{title} {paragraph}".split()) for title, paragraph in found]


def print_report(report: ParityReport, *, as_json: bool) -> None:
    """Write the report for people or as one JSON object."""
    if as_json:
        import msgspec

        print_line(msgspec.json.encode(report).decode())
        return
    if report.unmeasured:
        print_line(f"int8 by {', '.join(report.recipes.values())}; {report.unmeasured}")
        return
    title = f"Share of fp32's nearest kept by int8: {report.queries:,} queries, {report.documents:,} documents"
    print_table([HEADER, *(_cells(row) for row in report.rows)], title)
    if not report.bounded:
        print_line("Too few texts to hold the export to its bounds.")


def _cells(row: Parity) -> tuple[str, ...]:
    return (
        row.recipe,
        row.tower,
        f"{row.cosine_mean:.4f}",
        _share(row.query_overlap),
        _share(row.both_overlap),
        f"{row.speed_ratio:.2f}",
        f"{row.size_bytes / 1e6:.1f}",
        "kept" if row.chosen else "" if row.accepted else "low",
    )


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.3f}"
