"""Bring back the fp32 weights of an int8 tower in which activations are neither shifted nor smoothed.

    python benchmarks/starter/thaw.py encoders/starter THAWED

THAWED is a model folder to train on from (``twinbert train distill --from THAWED``): configuration, tokenizer and
weights, without graphs. Weights are what the int8 numbers stand for; the folded residual head becomes one without F.
What rounding took away is gone; the script prints how close the vectors are to those of the int8 graph.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from safetensors.numpy import load_file
from safetensors.torch import save_file
from twinbert.encoders import ModelFolder, TwinEncoder
from twinbert.encoders.config import TwinConfig, read_config, write_config
from twinbert.encoders.serving.batches import pad
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.encoders.training.quantisation.products import linear_maps
from twinbert.encoders.training.quantisation.texts import read_texts
from twinbert.encoders.training.student import Student

INT4_BLOCK = 32
POOLS = ("skip_pool.logit", "pool.logit")
"""The fp32 products with one output, in the order of the graph."""


def main() -> None:
    """Write the second folder from the first."""
    source, target = (ModelFolder(Path(argument)) for argument in sys.argv[1:3])
    config = dataclasses.replace(read_config(source.config), files={}, space="")
    student = Student(config).eval()
    graph = onnx.load(source.graph("query", "int8", shared=True)).graph
    student.towers.query.load_state_dict(dict(thawed(graph, student)))
    _give_crossing(student, load_file(source.head))
    target.root.mkdir(parents=True)
    shutil.copyfile(source.tokenizer, target.tokenizer)
    write_config(config, target.config)
    save_file({name: tensor.contiguous() for name, tensor in student.state_dict().items()}, target.weights)
    cosines = compared(student, config, source)
    print(f"cosine to the int8 graph over {len(cosines)} texts: mean {cosines.mean():.5f}, least {cosines.min():.5f}")


def thawed(graph: onnx.GraphProto, student: Student) -> Iterator[tuple[str, torch.Tensor]]:
    """The tower's weights by name."""
    tower = student.towers.query
    constants = {tensor.name: tensor for tensor in graph.initializer}
    values = {name: numpy_helper.to_array(tensor) for name, tensor in constants.items() if tensor.data_type != 22}
    (look_up,) = (node for node in graph.node if node.op_type == "GatherBlockQuantized")
    yield "tokens.table.weight", torch.from_numpy(table(constants[look_up.input[0]], values[look_up.input[2]]))
    products = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    for (name, _), node in zip(_in_order(tower), products, strict=True):
        weight = values[node.input[1]].astype(np.float32) * values[node.input[3]]
        yield f"{name}.weight", torch.from_numpy(np.ascontiguousarray(weight.T))
    pools = [node for node in graph.node if node.op_type == "MatMul" and node.input[1] in values]
    for name, node in zip(POOLS, pools, strict=True):
        yield f"{name}.weight", torch.from_numpy(values[node.input[1]].T.copy())
    named = set(tower.state_dict())
    yield from ((name, torch.from_numpy(value.copy())) for name, value in values.items() if name in named)


def table(packed: onnx.TensorProto, scales: NDArray[np.float16]) -> NDArray[np.float32]:
    """A 4-bit token table, ``(rows, width)``: two numbers a byte, low half first, a scale a block."""
    nibbles = np.frombuffer(packed.raw_data, dtype=np.uint8).reshape(packed.dims[0], -1)
    numbers = np.stack([nibbles & 0xF, nibbles >> 4], axis=-1).reshape(packed.dims).astype(np.int8)
    signed = np.where(numbers > 7, numbers - 16, numbers).astype(np.float32)
    return signed * np.repeat(scales.astype(np.float32), INT4_BLOCK, axis=1)


def _in_order(tower: torch.nn.Module) -> list[tuple[str, torch.nn.Module]]:
    """The linear maps as the graph computes them: the projections come last."""
    maps = list(linear_maps(tower))  # type: ignore[arg-type]
    return sorted(maps, key=lambda named: ["widen", "layers", "project", "skip_project"].index(named[0].split(".")[0]))


def _give_crossing(student: Student, served: dict[str, NDArray[np.float32]]) -> None:
    """Set both crossings to what is served: the head's vector is undone of its share and of its input's scale."""
    head, config = student.head, student.towers.config
    assert head is not None
    with torch.no_grad():
        student.cosine.scale.copy_(torch.tensor(served["scale"]))
        student.cosine.bias.copy_(torch.tensor(served["bias"]))
        head.residual.weight.zero_()
        head.residual.bias.zero_()
        scale = config.head_share * math.sqrt(config.tower.dimension)
        head.output.weight.copy_(torch.from_numpy(served["vector"] / np.float32(scale))[None])


def compared(student: Student, config: TwinConfig, source: ModelFolder) -> NDArray[np.float32]:
    """Cosines of both towers' vectors of the calibration texts."""
    texts = list(read_texts())
    found = []
    for ids in tokenizer_of(config, "document", source.tokenizer).encode(texts):
        tokens, mask = (torch.from_numpy(array) for array in pad([ids]))
        with torch.inference_mode():
            found.append(student.towers.document(tokens, mask)[0].numpy())
    expected = TwinEncoder.from_pretrained(source.root, threads=1).encode_documents(texts)
    cosines: NDArray[np.float32] = (np.stack(found) * expected).sum(axis=1)
    return cosines


if __name__ == "__main__":
    main()
