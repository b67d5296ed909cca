"""Between the original weights and the tuned ones: the blend that keeps most of the gain and forgets least.

Interpolated weights of a model and of the same model fine-tuned keep more of what the first could do than stopping
early does (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .student import Student
from .trainer import Report
from .tune_options import TuneOptions
from .tune_training import Course, Weights


@dataclass(frozen=True, slots=True, eq=False)
class Blend:
    """A share of the tuned weights, the rest being the original's, and its measure on the held-out questions."""

    share: float
    value: NDArray[np.float64]


def mixed_weights(original: Weights, tuned: Weights, share: float) -> Weights:
    """``(1 − share) · original + share · tuned``, weight by weight."""
    return {name: original[name] + share * (tuned[name] - original[name]) for name in original}


def tried_blends(
    student: Student,
    original: Weights,
    course: Course,
    options: TuneOptions,
    chosen: Callable[[Student], NDArray[np.float64]],
    report: Report | None,
) -> list[Blend]:
    """Measure each of the blends that ``options`` names; the student is left with the last one's weights."""
    blends: list[Blend] = []
    for number, share in enumerate(sorted(options.blends), start=1):
        student.load_state_dict(mixed_weights(original, course.weights, share))
        blends.append(Blend(share, course.value if share == 1.0 else chosen(student.eval())))
        if report:
            report("blending", number, len(options.blends))
    return blends


def smallest_that_keeps(blends: list[Blend], before: float, keep: float) -> Blend:
    """The blend with the smallest share of tuned weights that keeps ``keep`` of the best one's gain over ``before``."""
    gains = [float(blend.value.mean()) - before for blend in blends]
    wanted = keep * max(gains)
    return next(blend for blend, gain in zip(blends, gains, strict=True) if gain >= wanted)
