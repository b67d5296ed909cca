"""What tuning did, in figures: gains paired over questions, nDCG, and what is left of general texts' vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quantisation.parity import cosines, overlap

CUT = 10
"""Ranks that nDCG looks at, and neighbours that drift does."""
UNLIKELY = 0.05
"""Chance below which a gain is no accident."""
FLIPS = 2_000
"""Draws of the sign-flip test."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure before and after over the same questions.

    before, after: means. error: standard error of the mean difference, paired over the questions; None for one.
    chance: that signs drawn at random give the differences a mean as high.
    """

    before: float
    after: float
    error: float | None
    chance: float
    questions: int

    @property
    def real(self) -> bool:
        """Whether there is a gain that is no accident."""
        return self.after > self.before and self.chance < UNLIKELY


@dataclass(frozen=True, slots=True)
class Drift:
    """What is left of the original vectors of general texts that were not trained on.

    cosine: mean of a text's with its old vector. neighbours: share of the ten nearest that are still among them.
    """

    texts: int
    cosine: float
    neighbours: float


def gain_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
    """Compare two measurements of the same questions, ``(questions,)`` each, by a paired sign-flip test."""
    difference = after - before
    count = len(difference)
    error = float(difference.std(ddof=1) / np.sqrt(count)) if count > 1 else None
    signs = np.random.default_rng(0).choice(np.array([-1.0, 1.0], dtype=np.float32), (FLIPS, count))
    chance = float((signs @ difference >= difference.sum() - 1e-9).mean())
    return Gain(float(before.mean()), float(after.mean()), error, chance, count)


def drift_of(old: NDArray[np.float32], new: NDArray[np.float32]) -> Drift:
    """Compare two sets of unit rows of the same texts."""
    kept = overlap(_others(old), _others(new))
    return Drift(len(old), float(cosines(old, new).mean()), kept)


def _others(vectors: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places of each text's ``CUT`` nearest others, ``(n, 10)`` in no order."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, min(CUT, len(scores) - 1) - 1, axis=1)[:, :CUT].astype(np.int64)


def best(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places of the ten best scores, best first."""
    return np.argsort(-scores, kind="stable")[:CUT]


def ndcg(hits: NDArray[np.bool_], relevant: NDArray[np.bool_]) -> float:
    """nDCG@10 with gains of 0 and 1 (Järvelin and Kekäläinen 2002).

    hits: ``(ranks,)`` which of the best documents are relevant. relevant: ``(known,)`` which of all known ones are.
    """
    discounts = 1.0 / np.log2(np.arange(2, CUT + 2))
    ideal = discounts[: min(CUT, int(relevant.sum()))].sum()
    return float(discounts[: len(hits)][hits].sum() / ideal)
