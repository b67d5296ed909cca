"""What tuning did, in figures: gains paired over questions, nDCG, and what is left of general texts' vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .quantisation.parity import cosines, overlap

CUT = 10
"""Ranks that nDCG looks at, and neighbours that drift does."""
CERTAIN = 1.645
"""Standard errors that a gain must lie above zero: one-sided, at five per cent."""


@dataclass(frozen=True, slots=True)
class Gain:
    """A measure before and after over the same questions.

    before, after: means. error: standard error of the mean difference, paired over the questions.
    """

    before: float
    after: float
    error: float
    questions: int

    @property
    def real(self) -> bool:
        """Whether the gain lies above zero by ``CERTAIN`` standard errors."""
        return self.after - self.before > CERTAIN * self.error


@dataclass(frozen=True, slots=True)
class Drift:
    """What is left of the original vectors of general texts that were not trained on.

    cosine: mean of a text's with its old vector. neighbours: share of the ten nearest that are still among them.
    """

    texts: int
    cosine: float
    neighbours: float


def gain_of(before: NDArray[np.float64], after: NDArray[np.float64]) -> Gain:
    """Compare two measurements of the same questions, ``(questions,)`` each."""
    difference = after - before
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.inf
    return Gain(float(before.mean()), float(after.mean()), float(error), len(difference))


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
