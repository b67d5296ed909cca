"""How a model is tuned: every setting of ``twinbert train tune``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import msgspec

from ...errors import InvalidInputError


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneOptions:
    """One run of tuning.

    query_tower_only: leave the document vectors, and every index made of them, as they are.
    minutes: of everything but the export; what is best by then is kept.
    epochs: at most so often are the questions gone through; patience: epochs without a gain that end it.
    questions: a batch. negatives: of each, judged ones first, the original model's own top candidates for the rest.
    depth: ranks that these are drawn from. pool: documents, drawn from the collections, that are searched for them.
    learning_rate: of the towers, with warm-up and linear decay; head_learning_rate: of the crossings.
    frozen: lowest layers, and the token table below them, that stay as they are; a sixth of the layers when None.
    temperature: of the listwise loss. hard, soft: share of cross-entropy on judgements and on a teacher's scores.
    anchor: how much 1 − cosine to the original vectors of ``anchors`` general texts a batch counts.
    blends: shares of the tuned weights that are tried, the rest being the original's.
    keep: the smallest blend that keeps this share of the best one's gain is taken.
    held_out: share of the questions to choose by. longest: tokens that are read of a text in training.
    precision: of the arithmetic; ``auto`` is bf16 where the processor has it.

    Raises InvalidInputError for what is out of range.
    """

    query_tower_only: bool = False
    minutes: float = 5.0
    epochs: int = 2
    patience: int = 1
    questions: int = 16
    negatives: int = 12
    depth: int = 50
    pool: int = 2_000
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    frozen: int | None = None
    temperature: float = 0.05
    hard: float = 1.0
    soft: float = 0.5
    anchor: float = 10.0
    anchors: int = 24
    blends: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    keep: float = 0.9
    held_out: float = 0.15
    longest: int = 128
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "questions", "depth", "pool", "anchors", "longest"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("negatives", "hard", "soft", "anchor", "seed"):
            self._require(name, getattr(self, name) >= 0, "0 or more")
        for name in ("minutes", "learning_rate", "head_learning_rate", "temperature"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("frozen", self.frozen is None or self.frozen >= 0, "0 or more")
        self._require("held_out", 0 < self.held_out <= 0.5, "above 0 and at most 0.5")
        self._require("keep", 0 < self.keep <= 1, "above 0 and at most 1")
        self._require("blends", bool(self.blends) and all(0 < share <= 1 for share in self.blends), "shares, (0, 1]")

    @staticmethod
    def _require(name: str, fits: bool, wanted: str) -> None:
        if not fits:
            raise InvalidInputError(f"{name} is out of range: give it {wanted}")


def read_options(settings: Mapping[str, Any]) -> TuneOptions:
    """Options that differ from the default by ``settings``; raises InvalidInputError naming the field at fault."""
    known = [field.name for field in fields(TuneOptions)]
    for name in settings:
        if name not in known:
            raise InvalidInputError(f"no setting {name!r} of tuning; there are {', '.join(known)}")
    try:
        return msgspec.convert(dict(settings), TuneOptions, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"not a setting of tuning ({error}): see docs/training.md") from error
