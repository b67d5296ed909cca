"""Both crossings in NumPy: a query's unit vector against cached document vectors (paper.md §3)."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeAlias

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ...errors import ModelError
from ..config import CrossingConfig

Matrix: TypeAlias = NDArray[np.float32]


def combine(kind: str, query: Matrix, documents: Matrix) -> Matrix:
    """Combine a query ``(dimension,)`` with documents ``(n, dimension)`` by max, product or concat: ``(n, size)``."""
    if kind == "max":
        return np.maximum(documents, query)
    if kind == "product":
        return documents * query
    return np.concatenate([np.broadcast_to(query, documents.shape), documents], axis=1)


def input_scale(kind: str, dimension: int) -> float:
    """What brings the combined entries of unit vectors to the size that the usual learning rates expect."""
    return float(dimension) if kind == "product" else math.sqrt(dimension)


@dataclass(frozen=True)
class LinearHead:
    """``vector · x``: with F linear ``w·(F(x) + x)`` folds to one dot product, so a document costs next to nothing.

    vector: ``(size,)`` float32, with the scale of its input folded in.
    """

    vector: Matrix

    def logits(self, x: Matrix) -> Matrix:
        """Logits ``(n,)`` of combined rows ``(n, size)``."""
        found: Matrix = x @ self.vector
        return found


@dataclass(frozen=True)
class ReluHead:
    """``w·(ReLU(W x + b) + x)`` (DeepGNN's ``feedforward``, paper.md §3.2).

    weight: ``(size, size)`` W. inner_bias: ``(size,)`` b. output: ``(size,)`` w. input_scale: ``()``, of x.
    """

    weight: Matrix
    inner_bias: Matrix
    output: Matrix
    input_scale: Matrix

    def logits(self, x: Matrix) -> Matrix:
        """Logits ``(n,)`` of combined rows ``(n, size)``."""
        x = x * self.input_scale
        found: Matrix = (np.maximum(x @ self.weight.T + self.inner_bias, 0) + x) @ self.output
        return found


@dataclass(frozen=True)
class BottleneckHead:
    """``w·ReLU(V·ReLU(W x + b) + c + x)`` (DeepGNN's ``reslayer``, paper.md §3.2).

    narrow: ``(width, size)`` W, widen: ``(size, width)`` V, with their biases. output: ``(size,)`` w.
    input_scale: ``()``, of x.
    """

    narrow: Matrix
    narrow_bias: Matrix
    widen: Matrix
    widen_bias: Matrix
    output: Matrix
    input_scale: Matrix

    def logits(self, x: Matrix) -> Matrix:
        """Logits ``(n,)`` of combined rows ``(n, size)``."""
        x = x * self.input_scale
        inner = np.maximum(x @ self.narrow.T + self.narrow_bias, 0)
        found: Matrix = np.maximum(inner @ self.widen.T + self.widen_bias + x, 0) @ self.output
        return found


Head: TypeAlias = LinearHead | ReluHead | BottleneckHead
HEADS: dict[str, type[Head]] = {"linear": LinearHead, "relu": ReluHead, "bottleneck": BottleneckHead}


@dataclass(frozen=True)
class ResidualCrossing:
    """``scale · cos + bias + head(combined)``: the cosine crossing plus the residual head.

    scale: 0 in a model that serves the paper's pure residual score. bias: of the cosine and of the head together.
    combination: how the head's input is made of the two vectors.
    """

    scale: np.float32
    bias: np.float32
    head: Head
    combination: str = "max"

    def score(self, query: Matrix, documents: Matrix) -> Matrix:
        """Logits ``(n,)`` float32 of one unit vector ``(dimension,)`` against unit rows ``(n, dimension)``."""
        logits: Matrix = np.multiply(documents @ query, self.scale) + self.bias
        return logits + self.head.logits(combine(self.combination, query, documents))

    def residual(self, query: Matrix, documents: Matrix) -> Matrix:
        """The head's part of the score, ``(n,)`` float32, over the cosine's scale where there is one.

        The score's order is that of ``cosine + residual``, whose units people and weights can read.
        """
        logits = self.head.logits(combine(self.combination, query, documents))
        return logits / self.scale if self.scale > 0 else logits


def read_crossing(path: Path, dimension: int, config: CrossingConfig) -> ResidualCrossing:
    """Read ``head.safetensors``.

    Raises ModelError, naming the file, when it is damaged, of another kind than ``config`` says, or made for another
    dimension.
    """
    kind = HEADS[config.residual]
    try:
        tensors = safetensors.numpy.load_file(path)
        head = kind(*(tensors[field.name] for field in fields(kind)))
        crossing = ResidualCrossing(np.float32(tensors["scale"]), np.float32(tensors["bias"]), head, config.combination)
    except (SafetensorError, KeyError, OSError) as error:
        raise ModelError(f"{path}: not a {config.residual} residual head ({error})") from error
    found = head.vector.size if isinstance(head, LinearHead) else head.output.size
    if found != dimension * (2 if config.combination == "concat" else 1):
        raise ModelError(f"{path} is for {found} dimensions, config.json says {dimension} by {config.combination}")
    return crossing


def write_crossing(crossing: ResidualCrossing, path: Path) -> None:
    """Write ``head.safetensors``."""
    head = {field.name: np.asarray(getattr(crossing.head, field.name)) for field in fields(crossing.head)}
    tensors = {"scale": np.asarray(crossing.scale), "bias": np.asarray(crossing.bias), **head}
    safetensors.numpy.save_file(tensors, path)
