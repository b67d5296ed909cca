"""An ONNX tower in 8 bits whose vectors do not depend on the batch.

ONNX Runtime's own dynamic quantisation takes one activation scale a tensor: it loses neighbours, and makes a text's
vector depend on the texts beside it. Here every token gets its own scale, by ordinary operators; every column of a
weight has its own; the token table is held in blocks of 4-bit numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

BLOCK = 32
"""Numbers of the token table that share a scale."""
MIDDLE = 128
"""What stands for zero in an unsigned activation."""
SMALLEST_TABLE = 4_096
"""Rows from which on a table is quantised: the token table is, positions are not."""


def quantize(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace every product with a constant matrix, and the look-up in the token table, by its quantised form.

    model: fp32; left as it was. Gives a model with the same inputs and output.
    """
    quantised = onnx.ModelProto()
    quantised.CopyFrom(model)
    graph = quantised.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    rewriter = _Rewriter(weights)
    nodes = [new for node in graph.node for new in rewriter.rewrite(node)]
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in [*graph.initializer, *rewriter.added] if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    del graph.value_info[:]
    quantised.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return quantised


@dataclass(frozen=True)
class QuantisedMatrix:
    """A weight ``(inputs, outputs)`` as int8 beside its float32 scale a column, ``(outputs,)``."""

    numbers: NDArray[np.int8]
    scales: NDArray[np.float32]


def quantize_matrix(weight: NDArray[np.float32]) -> QuantisedMatrix:
    """Round each column to 255 steps between plus and minus its largest number."""
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-12).astype(np.float32) / np.float32(127)
    return QuantisedMatrix(np.rint(weight / scales).astype(np.int8), scales)


def quantize_table(table: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Round blocks of 32 numbers to 4 bits.

    table: ``(rows, width)``, width a multiple of 32. Gives two numbers a byte, low half first, ``(rows, width / 2)``,
    and the scales ``(rows, width / 32)`` rounded to float16's precision.
    """
    blocks = table.reshape(len(table), -1, BLOCK)
    scales = (np.maximum(np.abs(blocks).max(axis=-1), 1e-6) / 7).astype(np.float16).astype(np.float32)
    numbers = np.clip(np.rint(blocks / scales[..., None]), -7, 7).astype(np.int8).reshape(len(table), -1)
    nibbles = numbers.view(np.uint8) & 0xF
    return nibbles[:, 0::2] | (nibbles[:, 1::2] << 4), scales


class _Rewriter:
    """Rewrites nodes one at a time and collects the tensors that they need."""

    def __init__(self, weights: dict[str, TensorProto]) -> None:
        self.weights = weights
        self.added: list[TensorProto] = [
            numpy_helper.from_array(np.array([1], dtype=np.int64), "columns"),
            numpy_helper.from_array(np.array(1 / 127, dtype=np.float32), "step"),
            numpy_helper.from_array(np.array(1e-12, dtype=np.float32), "smallest"),
            numpy_helper.from_array(np.array(1, dtype=np.float32), "one"),
            numpy_helper.from_array(np.array(MIDDLE, dtype=np.uint8), "zero_point"),
        ]

    def rewrite(self, node: NodeProto) -> list[NodeProto]:
        """The nodes that stand for this one; itself when there is nothing to quantise."""
        weight = self.weights.get(node.input[1]) if len(node.input) > 1 else None
        if node.op_type == "MatMul" and weight is not None and len(weight.dims) == 2 and min(weight.dims) > 1:
            return self._matmul(node, numpy_helper.to_array(weight))
        if node.op_type == "Gemm" and weight is not None:
            return self._gemm(node, numpy_helper.to_array(weight))
        table = self.weights.get(node.input[0]) if node.op_type == "Gather" else None
        if table is not None and table.dims[0] >= SMALLEST_TABLE:
            return self._gather(node, numpy_helper.to_array(table))
        return [node]

    def _matmul(self, node: NodeProto, weight: NDArray[np.float32]) -> list[NodeProto]:
        return self._product(node.input[0], weight, node.output[0], node.output[0])

    def _gemm(self, node: NodeProto, weight: NDArray[np.float32]) -> list[NodeProto]:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if attributes.get("transB"):
            weight = weight.T
        if min(weight.shape) == 1:
            return [node]
        if len(node.input) < 3:
            return self._matmul(node, weight)
        summed = f"{node.output[0]}_unbiased"
        nodes = self._product(node.input[0], weight, summed, node.output[0])
        return [*nodes, helper.make_node("Add", [summed, node.input[2]], [node.output[0]])]

    def _product(self, source: str, weight: NDArray[np.float32], output: str, prefix: str) -> list[NodeProto]:
        matrix = quantize_matrix(weight)
        numbers, scales = f"{prefix}_weight", f"{prefix}_scales"
        self.added += [
            numpy_helper.from_array(matrix.numbers, numbers),
            numpy_helper.from_array(matrix.scales, scales),
        ]
        self.added += [
            numpy_helper.from_array(np.array([-1, weight.shape[0]], dtype=np.int64), f"{prefix}_flat"),
            numpy_helper.from_array(np.array([weight.shape[1]], dtype=np.int64), f"{prefix}_width"),
        ]
        names = (
            "rows",
            "abs",
            "top",
            "size",
            "scale",
            "count",
            "zeros",
            "uint8",
            "product",
            "column",
            "scaled",
            "lead",
            "shape",
        )
        part = {name: f"{prefix}_{name}" for name in names}
        middle = helper.make_tensor(f"{prefix}_middle", TensorProto.UINT8, [1], [MIDDLE])
        return [
            helper.make_node("Reshape", [source, f"{prefix}_flat"], [part["rows"]]),
            helper.make_node("Abs", [part["rows"]], [part["abs"]]),
            helper.make_node("ReduceMax", [part["abs"], "columns"], [part["top"]], keepdims=0),
            helper.make_node("Mul", [part["top"], "step"], [part["size"]]),
            helper.make_node("Max", [part["size"], "smallest"], [part["scale"]]),
            helper.make_node("Shape", [part["scale"]], [part["count"]]),
            helper.make_node("ConstantOfShape", [part["count"]], [part["zeros"]], value=middle),
            helper.make_node("QuantizeLinear", [part["rows"], part["scale"], part["zeros"]], [part["uint8"]], axis=0),
            helper.make_node(
                "MatMulIntegerToFloat",
                [part["uint8"], numbers, "one", scales, "zero_point"],
                [part["product"]],
                domain="com.microsoft",
            ),
            helper.make_node("Unsqueeze", [part["scale"], "columns"], [part["column"]]),
            helper.make_node("Mul", [part["product"], part["column"]], [part["scaled"]]),
            helper.make_node("Shape", [source], [part["lead"]], end=-1),
            helper.make_node("Concat", [part["lead"], f"{prefix}_width"], [part["shape"]], axis=0),
            helper.make_node("Reshape", [part["scaled"], part["shape"]], [output]),
        ]

    def _gather(self, node: NodeProto, table: NDArray[np.float32]) -> list[NodeProto]:
        numbers, scales = f"{node.input[0]}_numbers", f"{node.input[0]}_scales"
        packed, steps = quantize_table(table)
        tensor = TensorProto(name=numbers, data_type=TensorProto.INT4, dims=table.shape, raw_data=packed.tobytes())
        self.added += [tensor, numpy_helper.from_array(steps.astype(np.float16), scales)]
        half = f"{node.output[0]}_half"
        return [
            helper.make_node(
                "GatherBlockQuantized",
                [numbers, node.input[1], scales],
                [half],
                domain="com.microsoft",
                block_size=BLOCK,
                gather_axis=0,
                quantize_axis=1,
            ),
            helper.make_node("Cast", [half], [node.output[0]], to=TensorProto.FLOAT),
        ]
