"""One int8 product in the graph: a scale for every row of the activation, by ordinary operators."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from .products import Product, Rounding
from .writer import MICROSOFT, GraphWriter

FINER = 254
"""Steps of the second part in one step of the first: what is left over lies within half a step."""


@dataclass(frozen=True)
class Rows:
    """How many rows a matrix of the graph has, and zero points of that number, shared by all products.

    count: name of a ``(1,)`` int64 tensor.
    """

    writer: GraphWriter
    count: str
    label: str

    def zero_points(self, zero: int) -> str:
        """As many zero points as there are rows, uint8."""
        value = helper.make_tensor("value", TensorProto.UINT8, [1], [zero])
        return self.writer.once(f"{self.label}_{zero}", "ConstantOfShape", [self.count], value=value)


def write_product(source: str, product: Product, name: str, rows: Rows) -> str:
    """Add ``source @ product``, without its bias: the name of a ``(rows, outputs)`` float32 tensor.

    source: ``(rows, inputs)`` float32, shifted and smoothed already.

    A row of zeros has the scale 0: whatever its numbers are rounded to, 0 times them is 0.
    """
    return _ProductWriter(source, product, name, rows).write()


class _ProductWriter:
    def __init__(self, source: str, product: Product, name: str, rows: Rows) -> None:
        self.source, self.product, self.name, self.rows = source, product, name, rows
        self.writer = rows.writer
        self.one = self.writer.constant("one", [1])

    def write(self) -> str:
        rounding, add = self.product.rounding, self.writer.add
        scale = self._scale(rounding)
        points = self.rows.zero_points(rounding.zero)
        rounded = add("QuantizeLinear", [self.source, scale, points], axis=0)
        total = self._integers(rounded, rounding.zero, 1.0)
        if self.product.two_part:
            kept = add("DequantizeLinear", [rounded, scale, points], axis=0)
            total = add("Add", [total, self._second_part(add("Sub", [self.source, kept]), scale)])
        return add("Mul", [total, add("Unsqueeze", [scale, self.one])])

    def _scale(self, rounding: Rounding) -> str:
        """One scale a row, so that its largest number takes the last step."""
        add, constant = self.writer.add, self.writer.constant
        sizes = self.source if rounding.least else add("Abs", [self.source])
        largest = add("ReduceMax", [sizes, self.one], keepdims=0)
        scale = add("Mul", [largest, constant(f"step_{rounding.zero}", rounding.step)])
        return add("Max", [scale, constant(f"least_{rounding.zero}", rounding.least)]) if rounding.least else scale

    def _second_part(self, left: str, scale: str) -> str:
        finer = self.writer.add("Mul", [scale, self.writer.constant("finer", 1 / FINER)])
        middle = Rounding.symmetric().zero
        rounded = self.writer.add("QuantizeLinear", [left, finer, self.rows.zero_points(middle)], axis=0)
        return self._integers(rounded, middle, 1 / FINER)

    def _integers(self, rounded: str, zero: int, scale: float) -> str:
        constant = self.writer.constant
        inputs = [
            rounded,
            constant(f"{self.name}.numbers", self.product.matrix.numbers),
            constant(f"times_{scale:.4f}", scale),
            constant(f"{self.name}.scales", self.product.matrix.scales),
            constant(f"zero_{zero}", np.array(zero, dtype=np.uint8)),
        ]
        return self.writer.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT)
