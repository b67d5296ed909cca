"""An ONNX graph written node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
"""First with a Gelu of its own."""
IR_VERSION = 10
"""Read by ONNX Runtime 1.20 and later."""
MICROSOFT = "com.microsoft"
"""Domain of ONNX Runtime's own operators."""


class GraphWriter:
    """Collects nodes and constants; every method gives the name of what it adds."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._shared: dict[str, str] = {}

    def add(self, operator: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:  # noqa: ANN401
        """Add a node of one output."""
        name = f"{operator}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], domain=domain, **attributes))
        return name

    def split(self, source: str, sizes: Sequence[int], axis: int) -> list[str]:
        """Cut a tensor along an axis."""
        names = [f"Split_{len(self._nodes)}_{place}" for place in range(len(sizes))]
        self._nodes.append(helper.make_node("Split", [source, self.constant("parts", sizes)], names, axis=axis))
        return names

    def once(self, key: str, operator: str, inputs: Sequence[str], **attributes: Any) -> str:  # noqa: ANN401
        """Add a node the first time that its key is met, and give the same name again after that."""
        if key not in self._shared:
            self._shared[key] = self.add(operator, inputs, **attributes)
        return self._shared[key]

    def constant(self, name: str, value: NDArray[Any] | float | Sequence[int]) -> str:
        """Add a constant once; Python floats become float32, sequences of integers int64."""
        if name not in self._constants:
            if isinstance(value, float):
                value = np.array(value, dtype=np.float32)
            elif not isinstance(value, np.ndarray):
                value = np.array(value, dtype=np.int64)
            self._constants[name] = numpy_helper.from_array(np.asarray(value, order="C"), name)
        return name

    def packed(self, name: str, data_type: int, shape: Sequence[int], data: bytes) -> str:
        """Add a constant of a type that NumPy has not, from its bytes."""
        self._constants[name] = TensorProto(name=name, data_type=data_type, dims=shape, raw_data=data)
        return name

    def model(self, inputs: Sequence[onnx.ValueInfoProto], output: str, result: onnx.ValueInfoProto) -> onnx.ModelProto:
        """The finished model, whose one output is ``output`` under the name of ``result``."""
        self._nodes.append(helper.make_node("Identity", [output], [result.name]))
        graph = helper.make_graph(self._nodes, "tower", list(inputs), [result], list(self._constants.values()))
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="twinbert")
