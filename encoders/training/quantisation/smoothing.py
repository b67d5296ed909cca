"""Moving a product's difficulty from its activations into its weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ONE_PART, TWO_PART = 0.6, 0.3
"""Share of the activations' spread that moves into the weights (SmoothQuant's alpha), by how they are rounded: two
parts leave almost no error of the activations, so the weights are spared."""
SMALLEST = 1e-5
"""Spread below which an input counts as constant."""


@dataclass(frozen=True)
class Move:
    """``x @ weight == ((x - shift) / smooth) @ (smooth · weight) + shift @ weight``; both ``(inputs,)`` float32."""

    shift: NDArray[np.float32]
    smooth: NDArray[np.float32]


def find_move(inputs: NDArray[np.float32], weight: NDArray[np.float32], strength: float) -> Move:
    """Centre each input and even out their spreads (SmoothQuant, Xiao et al. 2023, eq. 4, of root mean squares).

    inputs: ``(tokens, inputs)`` of the calibration texts. weight: ``(inputs, outputs)``.
    strength: 0 moves nothing, 1 all.
    The shift is of Outlier Suppression+ (Wei et al. 2023), with the mean in place of the middle.
    """
    shift = inputs.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = np.maximum(np.sqrt(np.square(inputs - shift).mean(axis=0)), SMALLEST)
    size = np.maximum(np.sqrt(np.square(weight).mean(axis=1)), SMALLEST)
    smooth = spread**strength / size ** (1 - strength)
    return Move(shift, (smooth / np.exp(np.log(smooth).mean())).astype(np.float32))
