"""Canaries: a few texts with the vectors that they had at export, to notice a processor that computes otherwise.

int8 products can saturate on processors without VNNI, and a new ONNX Runtime may round elsewhere; an index built
with such vectors would be asked with other ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ...errors import ModelError
from ..config import Side
from ..folder import Precision
from .tower import OnnxTower

TEXTS = ("how do I read a file line by line?", "Symphony No. 5 in C minor, Op. 67 (1808)", "vélo")
"""Short, so that a load pays milliseconds."""
LARGEST_DRIFT: dict[Precision, float] = {"fp32": 1e-4, "int8": 1e-3}
"""Largest 1 - cosine that other roundings in the last place explain; saturation moves vectors tens of times as far."""
SWITCH = "TWINBERT_CANARIES"
"""Environment variable: ``off`` loads models without asking their canaries."""

Canaries = Mapping[str, NDArray[np.float32]]
"""The vectors of the texts, ``(texts, dimension)``, by ``side.precision``."""


def sing(tower: OnnxTower) -> NDArray[np.float32]:
    """The canaries' vectors as this machine computes them, ``(texts, dimension)``."""
    return tower.encode(TEXTS)


def write_canaries(canaries: Canaries, path: Path) -> None:
    """Write ``canaries.safetensors``."""
    safetensors.numpy.save_file(dict(canaries), path)


def check_canaries(path: Path, towers: Mapping[Side, OnnxTower], precision: Precision) -> None:
    """Encode the canaries again, and compare.

    Raises ModelError, with the remedy, when a tower's vectors have drifted, or when the file is damaged.
    """
    if os.environ.get(SWITCH) == "off":
        return
    try:
        kept = safetensors.numpy.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: not a file of canaries ({error})") from error
    for side, tower in towers.items():
        expected = kept.get(f"{side}.{precision}")
        if expected is not None:
            _compare(expected, sing(tower), path, side, precision)


def _compare(
    expected: NDArray[np.float32], found: NDArray[np.float32], path: Path, side: Side, precision: Precision
) -> None:
    if expected.shape != found.shape:
        raise ModelError(f"{path}: canaries of another shape, {expected.shape}: export the model again")
    drift = float(1 - (expected * found).sum(axis=1).min())
    if not drift <= LARGEST_DRIFT[precision]:  # so that a NaN is drift too
        other = "fp32" if precision == "int8" else "int8"
        raise ModelError(
            f"{path}: this machine's {precision} {side} vectors differ from those of the export by {drift:.2g} "
            f"(1 - cosine): load the model in {other}, export it again on this machine and build its indexes anew, "
            f"or set {SWITCH}=off to load it all the same"
        )
