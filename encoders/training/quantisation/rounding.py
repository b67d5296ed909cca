"""Weights to int8, a scale a column: to the nearest step, or so that a product's output stays (GPTQ)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .products import QuantisedMatrix

DAMPING = 0.1
"""Added to the diagonal of the inputs' second moments, relative to its mean (Frantar et al. 2022, section
3.3, who take 0.01; calibration texts of another kind than those to come want more)."""
BLOCK = 128
"""Rows rounded before their errors are carried to the rows after them."""


def column_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scale of each column ``(outputs,)``: its largest number takes the last of 127 steps."""
    scales: NDArray[np.float32] = np.maximum(np.abs(weight).max(axis=0), 1e-12).astype(np.float32) / np.float32(127)
    return scales


def round_nearest(weight: NDArray[np.float32]) -> QuantisedMatrix:
    """Round each number of ``(inputs, outputs)`` to the nearest of its column's 255 steps."""
    scales = column_scales(weight)
    return QuantisedMatrix(np.rint(weight / scales).astype(np.int8), scales)


def round_gptq(weight: NDArray[np.float32], moments: NDArray[np.float64]) -> QuantisedMatrix:
    """Round row by row, each row's error made good by the rows still to come (GPTQ, Frantar et al. 2022).

    weight: ``(inputs, outputs)``. moments: ``(inputs, inputs)``, the calibration inputs' ``xᵀx``.
    Rows with the largest moments go first, as in the authors' ``act-order``.
    """
    scales = column_scales(weight)
    order = np.argsort(-np.diagonal(moments), kind="stable")
    damping = DAMPING * np.diagonal(moments).mean() or 1.0
    damped = moments[np.ix_(order, order)] + damping * np.eye(len(moments))
    factor = np.linalg.cholesky(np.linalg.inv(damped)).T  # upper: its rows spread the errors
    left = weight[order].astype(np.float64)
    numbers = np.empty(left.shape, dtype=np.int8)
    for start in range(0, len(left), BLOCK):
        end = min(start + BLOCK, len(left))
        errors = np.empty((end - start, left.shape[1]))
        for row in range(start, end):
            numbers[row] = np.clip(np.rint(left[row] / scales), -127, 127)
            error = (left[row] - numbers[row] * scales) / factor[row, row]
            left[row:end] -= np.outer(factor[row, row:end], error)
            errors[row - start] = error
        left[end:] -= factor[start:end, end:].T @ errors
    return QuantisedMatrix(numbers[np.argsort(order)], scales)
