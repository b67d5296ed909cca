"""A tuned model to its folder: whole, or not there."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from ..config import read_config
from ..folder import ModelFolder
from ..hub import copy_model
from .card import CardFacts, write_card
from .run import write_figures
from .saving import save
from .student import Student
from .trainer import Report
from .tune_report import TuneReport

FIGURES = ("measure", "questions", "held_out", "blend", "chosen", "domain", "reported", "drift")
"""What of the report the card shows."""


def write_model(
    student: Student, model: ModelFolder, out: Path, report: TuneReport, progress: Report | None
) -> TuneReport:
    """Write the student where it changed, else a copy of the model; gives the report with the space that it serves.

    Raises ModelError as ``saving.save`` and ``hub.copy_model`` do; ``out`` is then not there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    if progress:
        progress("export", 0, 1)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        folder = ModelFolder(Path(work) / "model")
        if report.changed:
            _save(student, model, folder, out.name, report)
        else:
            copy_model(model, folder.root)
        space = read_config(folder.config).space
        report = dataclasses.replace(report, space=space, same_space=space == read_config(model.config).space)
        folder.root.replace(out)
    if progress:
        progress("export", 1, 1)
    return report


def _save(student: Student, model: ModelFolder, folder: ModelFolder, name: str, report: TuneReport) -> None:
    save(student, folder, model.tokenizer if model.tokenizer.exists() else None)
    facts = report.facts()
    write_figures({field: facts[field] for field in FIGURES if facts[field]}, folder.root / "training.json")
    origin = (
        f"{model.root.name}, tuned on {report.questions} questions and averaged with the weights that it had: "
        f"{report.blend:.0%} of the way from them."
    )
    write_card(folder, CardFacts(name=name, origin=origin))
