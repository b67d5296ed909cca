"""Both crossings in NumPy: a query's unit vector against cached document vectors (paper.md §3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ...errors import ModelError


@dataclass(frozen=True)
class ResidualCrossing:
    """``scale · cos + bias + vector · max(q, d)``: the cosine crossing plus the folded linear residual head.

    vector: ``(dimension,)`` float32. bias: of the cosine and of the head together.
    With F linear, ``w·(F(x) + x)`` is one dot product, so a document costs one maximum and two dot products.
    """

    scale: np.float32
    bias: np.float32
    vector: NDArray[np.float32]

    def score(self, query: NDArray[np.float32], documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits ``(n,)`` float32 of one unit vector ``(dimension,)`` against unit rows ``(n, dimension)``."""
        cosines = documents @ query
        head = np.maximum(documents, query) @ self.vector
        logits: NDArray[np.float32] = np.multiply(cosines, self.scale) + head + self.bias
        return logits


def read_crossing(path: Path, dimension: int) -> ResidualCrossing:
    """Read ``head.safetensors``.

    Raises ModelError, naming the file, when it is damaged or made for another dimension.
    """
    try:
        tensors = safetensors.numpy.load_file(path)
        crossing = ResidualCrossing(np.float32(tensors["scale"]), np.float32(tensors["bias"]), tensors["vector"])
    except (SafetensorError, KeyError, OSError) as error:
        raise ModelError(f"{path}: not a residual head ({error})") from error
    if crossing.vector.shape != (dimension,):
        raise ModelError(f"{path} is for {crossing.vector.size} dimensions, config.json says {dimension}")
    return crossing


def write_crossing(crossing: ResidualCrossing, path: Path) -> None:
    """Write ``head.safetensors``."""
    tensors = {
        "scale": np.asarray(crossing.scale),
        "bias": np.asarray(crossing.bias),
        "vector": crossing.vector,
    }
    safetensors.numpy.save_file(tensors, path)
