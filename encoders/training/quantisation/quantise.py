"""A tower's linear maps and token table, quantised after a recipe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from ....errors import ModelError
from ..towers import Tower
from .graph import write_graph
from .products import Product, QuantisedMatrix, kind, linear_maps, rounding_of, weights_of
from .recipe import Int8Recipe
from .rounding import round_gptq, round_nearest
from .smoothing import ONE_PART, TWO_PART, find_move
from .table import Table, require_format, to_int4, to_int8

Inputs = Mapping[str, NDArray[np.float32]]
"""What the linear maps are given by calibration texts, by their names (see ``capture``)."""


class TowerQuantiser:
    """One tower in int8, after any recipe; what recipes share is computed once.

    inputs: of its linear maps, from ``capture``; only the ``plain`` recipe can do without.
    """

    def __init__(self, tower: Tower, inputs: Inputs | None, table: str) -> None:
        self.tower, self._inputs = tower, inputs
        self._table = quantise_table(tower, table)
        self._kept: dict[tuple[str, bool], Product] = {}

    def graph(self, recipe: Int8Recipe) -> onnx.ModelProto:
        """The tower's int8 graph."""
        return write_graph(self.tower, self.products(recipe), self._table)

    def products(self, recipe: Int8Recipe) -> dict[str, Product]:
        """The tower's linear maps in int8, by name.

        Raises ModelError when the recipe is calibrated and there are no inputs.
        """
        if not recipe.calibrated:
            return {name: plain_product(name, linear) for name, linear in linear_maps(self.tower)}
        return fold_attention(
            {
                name: self._calibrated(name, linear, two_part=kind(name) in recipe.two_part)
                for name, linear in linear_maps(self.tower)
            }
        )

    def _calibrated(self, name: str, linear: nn.Linear, *, two_part: bool) -> Product:
        if self._inputs is None:
            raise ModelError("this int8 recipe needs calibration texts")
        if (name, two_part) not in self._kept:
            self._kept[name, two_part] = calibrated_product(name, linear, self._inputs[name], two_part=two_part)
        return self._kept[name, two_part]


def quantise_table(tower: Tower, table: str) -> Table:
    """The token table in ``int8`` or ``int4``.

    Raises ModelError for another format, and for a width that 4-bit blocks do not divide.
    """
    weight = tower.tokens.table.weight.detach().numpy()
    require_format(table, weight.shape[1])
    return to_int8(weight) if table == "int8" else to_int4(weight)


def plain_product(name: str, linear: nn.Linear) -> Product:
    """Weights rounded to the nearest, activations as they come."""
    weight, bias = weights_of(linear)
    return Product(round_nearest(weight), bias, rounding_of(name))


def calibrated_product(name: str, linear: nn.Linear, inputs: NDArray[np.float32], *, two_part: bool) -> Product:
    """Activations shifted and smoothed, unless they come from a GELU, and weights rounded by GPTQ.

    inputs: ``(tokens, inputs)``, what the map is given by calibration texts.
    """
    weight, bias = weights_of(linear)
    rounding = rounding_of(name)
    if rounding.least:
        return Product(round_gptq(weight, _moments(inputs)), bias, rounding, two_part=two_part)
    move = find_move(inputs, weight, TWO_PART if two_part else ONE_PART)
    matrix = round_gptq(weight * move.smooth[:, None], _moments((inputs - move.shift) / move.smooth))
    bias = (move.shift @ weight) + (0 if bias is None else bias)
    return Product(matrix, bias, rounding, move.shift, move.smooth, two_part)


def fold_attention(products: Mapping[str, Product]) -> dict[str, Product]:
    """Let the values of each attention arrive shifted and smoothed as the product after it wants them.

    Attention averages values, so what every value is shifted by and divided by, the average is too; and scales a
    column are free to take the division.
    """
    folded = dict(products)
    for name, product in products.items():
        if kind(name) != "attention_output" or product.shift is None or product.smooth is None:
            continue
        before = name.replace("attention_output", "qkv")
        qkv, untouched = folded[before], 2 * len(product.shift)
        smooth = np.concatenate([np.ones(untouched, dtype=np.float32), product.smooth])
        shift = np.concatenate([np.zeros(untouched, dtype=np.float32), product.shift])
        matrix = QuantisedMatrix(qkv.matrix.numbers, qkv.matrix.scales / smooth)
        bias = None if qkv.bias is None else (qkv.bias - shift) / smooth
        folded[before] = dataclasses.replace(qkv, matrix=matrix, bias=bias)
        folded[name] = dataclasses.replace(product, shift=None, smooth=None)
    return folded


def _moments(inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = inputs.astype(np.float64)
    moments: NDArray[np.float64] = wide.T @ wide
    return moments
