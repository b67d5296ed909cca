"""What a run of tuning reports: ``tune.json``, and the table that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from .tune_measures import Drift, Gain


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneReport:
    """What came of it.

    changed: False where the held-out gain is not real; the model is then the original.
    measure: by which was chosen, ``auc`` or ``ndcg``, on ``held_out`` questions that were not trained on.
    blend: share of the tuned weights in the model; 0 where nothing changed.
    chosen: the measure's gain. domain: ``auc`` and ``nDCG@10`` of the cosine on the same questions.
    reported: the same on each split that was only to be reported. Each of these is of all domains together.
    drift: of general texts that were not trained on; None where their vectors cannot have changed.
    epochs, blends: what was measured on the way. seconds: of each phase.
    space: of the documents' vectors; ``same_space``: indexes of the original stay valid.
    """

    changed: bool
    measure: str
    questions: int
    held_out: int
    blend: float
    chosen: Gain
    domain: Mapping[str, Gain]
    reported: Mapping[str, Gain]
    drift: Drift | None
    epochs: Sequence[Mapping[str, float]]
    blends: Sequence[Mapping[str, float]]
    seconds: Mapping[str, float] = field(default_factory=dict)
    space: str = ""
    same_space: bool = False

    def facts(self) -> dict[str, Any]:
        """The report in plain types."""
        facts: dict[str, Any] = msgspec.to_builtins(self)
        return facts

    def to_json(self) -> bytes:
        """Readable JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def report_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The report as rows of a table, its header first."""
    rows: list[tuple[str, ...]] = [("", "before", "after", "change", "± error")]
    rows += [(f"held out, {name}", *_gain(gain)) for name, gain in report.domain.items()]
    rows += [(f"reported, {name}", *_gain(gain)) for name, gain in report.reported.items()]
    if report.drift is not None:
        rows.append(("general texts, cosine to before", "1.000", f"{report.drift.cosine:.3f}", "", ""))
        rows.append(("general texts, neighbours kept", "1.000", f"{report.drift.neighbours:.3f}", "", ""))
    return rows


def _gain(gain: Gain) -> tuple[str, str, str, str]:
    error = "" if gain.error is None else f"{gain.error:.3f}"
    return f"{gain.before:.3f}", f"{gain.after:.3f}", f"{gain.after - gain.before:+.3f}", error


def verdict(report: TuneReport) -> str:
    """One line: what was done, and what it means for the indexes that are there."""
    if not report.changed:
        return "no change: the gain on the questions held out is not real; the new folder is a copy of the model"
    kept = "indexes of the model stay valid" if report.same_space else "re-encode its indexes: twinbert index reencode"
    return f"tuned, {report.blend:.0%} of the way from the original weights; {kept}"
