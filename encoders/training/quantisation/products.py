"""What a tower multiplies by: its linear maps, and how each of them is quantised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..towers import Tower


@dataclass(frozen=True)
class Rounding:
    """How a row of an activation becomes unsigned 8 bits: ``clip(rint(row / scale) + zero, 0, 255)``.

    zero: what stands for 0.
    step: share of a row's largest number that its scale is.
    least: the scale's least value where the row's minimum is known beforehand; 0 where sizes, not signed numbers,
    give the scale.
    """

    zero: int
    step: float
    least: float = 0.0

    @classmethod
    def symmetric(cls) -> Rounding:
        """127 steps to each side of 0."""
        return cls(128, 1 / 127)

    @classmethod
    def after_gelu(cls) -> Rounding:
        """239 steps above 0 and 16 below, which hold GELU's minimum of -0.16997 whatever the row's largest number."""
        return cls(16, 1 / 239, 0.17 / 16)


@dataclass(frozen=True)
class QuantisedMatrix:
    """A weight ``(inputs, outputs)`` as int8 beside its float32 scale a column, ``(outputs,)``."""

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]

    @property
    def values(self) -> NDArray[np.float32]:
        """What the numbers stand for."""
        values: NDArray[np.float32] = self.numbers * self.scales
        return values


@dataclass(frozen=True)
class Product:
    """One linear map as int8 export has it: ``((x - shift) / smooth) @ matrix + bias``.

    bias: ``(outputs,)`` float32, holding what ``shift`` took away; None where there is none.
    shift, smooth: ``(inputs,)`` float32; None where nothing is moved.
    two_part: the activation is rounded twice, the second time what the first left over.
    """

    matrix: QuantisedMatrix
    bias: NDArray[np.float32] | None
    rounding: Rounding
    shift: NDArray[np.float32] | None = None
    smooth: NDArray[np.float32] | None = None
    two_part: bool = False


def linear_maps(tower: Tower) -> Iterator[tuple[str, nn.Linear]]:
    """The linear maps that are quantised, by name: all but those with one output, which pool."""
    for name, module in tower.named_modules():
        if isinstance(module, nn.Linear) and module.out_features > 1:
            yield name, module


def weights_of(linear: nn.Linear) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """A linear map's weight ``(inputs, outputs)``, and its bias ``(outputs,)`` if it has one."""
    bias = dict(linear.named_parameters()).get("bias")
    weight: NDArray[np.float32] = np.ascontiguousarray(linear.weight.detach().numpy().T)
    return weight, None if bias is None else bias.detach().numpy()


def kind(name: str) -> str:
    """What a product is: ``layers.3.qkv`` is a ``qkv``."""
    return name.rpartition(".")[2]


def rounding_of(name: str) -> Rounding:
    """How the activations of a product are rounded."""
    return Rounding.after_gelu() if kind(name) == "down" else Rounding.symmetric()
