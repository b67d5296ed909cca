"""The token table: as it is, in 8 bits with a scale a row, or in 4 bits with a scale for each block of a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from ....errors import ModelError
from .writer import MICROSOFT, GraphWriter

BLOCK = 32
"""Numbers of a 4-bit row that share a scale."""


@dataclass(frozen=True)
class FloatTable:
    """numbers: ``(rows, width)`` float32."""

    numbers: NDArray[np.float32]

    def look_up(self, writer: GraphWriter, ids: str) -> str:
        """Add the look-up of ``ids``: float32, one row an id."""
        return writer.add("Gather", [writer.constant("table", self.numbers), ids])


@dataclass(frozen=True)
class Int8Table:
    """numbers: ``(rows, width)`` int8. scales: ``(rows, 1)`` float32."""

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]

    def look_up(self, writer: GraphWriter, ids: str) -> str:
        """Add the look-up of ``ids``: float32, one row an id."""
        numbers = writer.add("Gather", [writer.constant("table.numbers", self.numbers), ids])
        scales = writer.add("Gather", [writer.constant("table.scales", self.scales), ids])
        return writer.add("Mul", [writer.add("Cast", [numbers], to=TensorProto.FLOAT), scales])


@dataclass(frozen=True)
class Int4Table:
    """packed: ``(rows, width / 2)`` uint8, low half first.

    scales: ``(rows, width / 32)`` float32 of float16's precision.
    """

    packed: NDArray[np.uint8]
    scales: NDArray[np.float32]

    def look_up(self, writer: GraphWriter, ids: str) -> str:
        """Add the look-up of ``ids``: float32, one row an id."""
        rows, half = self.packed.shape
        numbers = writer.packed("table.numbers", TensorProto.INT4, (rows, 2 * half), self.packed.tobytes())
        scales = writer.constant("table.scales", self.scales.astype(np.float16))
        options = {"block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
        found = writer.add("GatherBlockQuantized", [numbers, ids, scales], domain=MICROSOFT, **options)
        return writer.add("Cast", [found], to=TensorProto.FLOAT)


Table = FloatTable | Int8Table | Int4Table
FORMATS = ("int8", "int4")


def require_format(table: str, width: int) -> None:
    """Raise ModelError unless ``table`` is a format that can hold rows of ``width`` numbers."""
    if table not in FORMATS:
        raise ModelError(f"no token table in {table}: name one of {', '.join(FORMATS)}")
    if table == "int4" and width % BLOCK:
        raise ModelError(f"a 4-bit token table needs an embedding_size that is a multiple of {BLOCK}: use int8")


def to_int8(table: NDArray[np.float32]) -> Int8Table:
    """Round each row to 255 steps between plus and minus its largest number."""
    scales = (np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-12) / 127).astype(np.float32)
    return Int8Table(np.rint(table / scales).astype(np.int8), scales)


def to_int4(table: NDArray[np.float32]) -> Int4Table:
    """Round blocks of 32 numbers to 4 bits.

    table: ``(rows, width)``, width a multiple of 32. Gives two numbers a byte, low half first, ``(rows, width / 2)``,
    and the scales ``(rows, width / 32)`` rounded to float16's precision.
    """
    blocks = table.reshape(len(table), -1, BLOCK)
    scales = (np.maximum(np.abs(blocks).max(axis=-1), 1e-6) / 7).astype(np.float16).astype(np.float32)
    numbers = np.clip(np.rint(blocks / scales[..., None]), -7, 7).astype(np.int8).reshape(len(table), -1)
    nibbles = numbers.view(np.uint8) & 0xF
    return Int4Table(nibbles[:, 0::2] | (nibbles[:, 1::2] << 4), scales)
