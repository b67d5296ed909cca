"""A tower's graph in ONNX, fp32 or int8: token ids to the normalised pooled vector, batch and length free.

Everything but attention and pooling works on a ``(batch · tokens, width)`` matrix, a row a token, so a text's vector
never depends on another text. What it computes is ``Tower.forward``; the tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import nn

from ...serving.trigrams import TRIGRAMS_PER_WORD
from ..towers import MASKED, FirstPosition, Layer, MeanPooling, Tower, WeightedAverage
from .products import Product, weights_of
from .rows import Rows, write_product
from .table import FloatTable, Table
from .writer import MICROSOFT, GraphWriter

NORM_EPSILON = 1e-12
"""Of all layer norms, as BERT has it."""
EPSILON = 1e-12
"""Least length of a vector before it is normalised."""


def write_graph(tower: Tower, products: Mapping[str, Product], table: Table) -> onnx.ModelProto:
    """Write the graph of a tower: inputs ``ids``, ``mask``, output ``vectors``.

    products: by the name of the linear map; a map that is not there stays in fp32.
    """
    words = [TRIGRAMS_PER_WORD] if tower.config.tokenizer == "trigrams" else []
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens", *words]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["batch", "tokens"]),
    ]
    result = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", tower.config.dimension])
    graph = _TowerGraph(tower, products)
    return graph.writer.model(inputs, graph.vectors(table), result)


def fp32_graph(tower: Tower) -> onnx.ModelProto:
    """The graph of a tower as it was trained."""
    return write_graph(tower, {}, FloatTable(tower.tokens.table.weight.detach().numpy()))


class _TowerGraph:
    """The parts of a tower as nodes, each method named after what it stands for."""

    def __init__(self, tower: Tower, products: Mapping[str, Product]) -> None:
        self.tower, self.products = tower, products
        self.layers = [layer for layer in tower.layers if isinstance(layer, Layer)]
        self.names: dict[int, str] = {id(module): name for name, module in tower.named_modules()}
        self.writer = GraphWriter()
        self.add, self.constant = self.writer.add, self.writer.constant
        self.shape = self.add("Shape", ["mask"])
        self.tokens = Rows(self.writer, self.add("ReduceProd", [self.shape], keepdims=1), "tokens")
        self.texts = Rows(self.writer, self.add("Shape", ["mask"], end=1), "texts")

    def vectors(self, table: Table) -> str:
        embedded = table.look_up(self.writer, "ids")
        if self.tower.config.tokenizer == "trigrams":
            embedded = self.add("ReduceSum", [embedded, self.constant("two", [2])], keepdims=0)
        vector = self._project(embedded, self._transform(embedded))
        length = self.add("ReduceL2", [vector, self.constant("last", [-1])], keepdims=1)
        return self.add("Div", [vector, self.add("Max", [length, self.constant("epsilon", EPSILON)])])

    def _transform(self, embedded: str) -> str:
        """The states after the last layer, ``(batch, tokens, hidden)``."""
        norm: nn.Module = self.tower.norm
        summed = self._embed(embedded)
        padding = self.add("Cast", ["mask"], to=TensorProto.INT32)
        for layer in self.layers:
            given, kept = self._enter(summed, norm, layer.qkv, layer.attention_output)
            attended = self._times(self._attend(given, padding, layer), layer.attention_output, self.tokens)
            summed, norm = self.add("Add", [kept, attended]), layer.attention_norm
            given, kept = self._enter(summed, norm, layer.up, layer.down)
            wide = self.add("Gelu", [self._linear(given, layer.up, self.tokens)])
            narrow = self._times(wide, layer.down, self.tokens)
            summed, norm = self.add("Add", [kept, narrow]), layer.output_norm
        return self._batched(self._last_norm(summed, self.layers[-1].output_norm), self.tower.config.hidden_size)

    def _last_norm(self, summed: str, norm: nn.LayerNorm) -> str:
        return self._norm(summed, self._name(norm), norm.weight.detach().numpy(), norm.bias.detach().numpy())

    def _embed(self, embedded: str) -> str:
        """Token and position vectors summed, ``(batch · tokens, hidden)``."""
        tower, hidden = self.tower, self.tower.config.hidden_size
        if isinstance(tower.widen, nn.Linear):
            rows = self.add("Reshape", [embedded, self.constant("wide_rows", [-1, tower.config.embedding_size])])
            embedded = self._batched(self._linear(self._moved(rows, tower.widen), tower.widen, self.tokens), hidden)
        table = self.constant("positions", tower.positions.weight.detach().numpy())
        length = self.add("Shape", ["mask"], start=1)
        positions = self.add("Slice", [table, self.constant("zero", [0]), length, self.constant("zero", [0])])
        return self._flat(self.add("Add", [embedded, positions]))

    def _enter(self, summed: str, norm: nn.Module, entry: nn.Linear, closing: nn.Linear) -> tuple[str, str]:
        """The normalised states twice: moved as the next product wants them, and with the bias that closes the block.

        Two norms cost less than one norm, a shift, a smoothing and the adding of a bias.
        """
        bias = self._bias(closing)
        if not isinstance(norm, nn.LayerNorm):
            return self._moved(summed, entry), self._plus(summed, closing)
        product, name = self._product(entry), self._name(norm)
        weight, offset = norm.weight.detach().numpy(), norm.bias.detach().numpy()
        kept = self._norm(summed, f"{name}.kept", weight, offset if bias is None else offset + bias)
        if product is not None and product.shift is not None and product.smooth is not None:
            weight, offset = weight / product.smooth, (offset - product.shift) / product.smooth
        return self._norm(summed, f"{name}.moved", weight, offset), kept

    def _attend(self, states: str, padding: str, layer: Layer) -> str:
        hidden = self.tower.config.hidden_size
        joined = self._batched(self._times(states, layer.qkv, self.tokens), 3 * hidden)
        parts = self.writer.split(joined, [hidden] * 3, axis=2)
        inputs = [*parts, self._bias_constant(layer.qkv), padding]
        heads = {"num_heads": layer.heads, "mask_filter_value": -MASKED}
        return self._flat(self.add("MultiHeadAttention", inputs, domain=MICROSOFT, **heads))

    def _project(self, embedded: str, states: str) -> str:
        tower = self.tower
        vector = self._pool(states, tower.pool)
        if isinstance(tower.project, nn.Linear):
            vector = self._linear(self._moved(vector, tower.project), tower.project, self.texts)
        if tower.skip_pool is not None and tower.skip_project is not None:
            pooled = self._moved(self._pool(embedded, tower.skip_pool), tower.skip_project)
            vector = self.add("Add", [vector, self._linear(pooled, tower.skip_project, self.texts)])
        return self.add("Tanh", [vector]) if tower.config.tanh else vector

    def _pool(self, states: str, pool: nn.Module) -> str:
        """Pool ``(batch, tokens, width)`` into ``(batch, width)``."""
        if isinstance(pool, FirstPosition):
            return self.add("Gather", [states, self.constant("first", np.array(0))], axis=1)
        one = self.constant("one", [1])
        weights = self._weights(states, pool) if isinstance(pool, WeightedAverage) else "mask"
        pooled = self.add("Squeeze", [self.add("MatMul", [self.add("Unsqueeze", [weights, one]), states]), one])
        if not isinstance(pool, MeanPooling):
            return pooled
        return self.add("Div", [pooled, self.add("ReduceSum", ["mask", one], keepdims=1)])

    def _weights(self, states: str, pool: WeightedAverage) -> str:
        logits = self.add("Squeeze", [self._float_times(states, pool.logit), self.constant("last", [-1])])
        lost = self.add("Sub", ["mask", self.constant("there", 1.0)])
        lost = self.add("Mul", [lost, self.constant("masked", MASKED)])
        return self.add("Softmax", [self.add("Add", [logits, lost])], axis=-1)

    def _linear(self, source: str, linear: nn.Linear, rows: Rows) -> str:
        return self._plus(self._times(source, linear, rows), linear)

    def _plus(self, source: str, linear: nn.Linear) -> str:
        bias = self._bias_constant(linear)
        return self.add("Add", [source, bias]) if bias else source

    def _bias_constant(self, linear: nn.Linear) -> str:
        """The name of a map's bias; empty where it has none."""
        bias = self._bias(linear)
        return "" if bias is None else self.constant(f"{self._name(linear)}.bias", bias)

    def _bias(self, linear: nn.Linear) -> NDArray[np.float32] | None:
        product = self._product(linear)
        if product is not None:
            return product.bias
        return weights_of(linear)[1]

    def _times(self, source: str, linear: nn.Linear, rows: Rows) -> str:
        """A product without its bias."""
        product = self._product(linear)
        if product is None:
            return self._float_times(source, linear)
        return write_product(source, product, self._name(linear), rows)

    def _float_times(self, source: str, linear: nn.Linear) -> str:
        return self.add("MatMul", [source, self.constant(f"{self._name(linear)}.weight", weights_of(linear)[0])])

    def _moved(self, source: str, linear: nn.Linear) -> str:
        """Shift and smooth what no norm before it could."""
        product, name = self._product(linear), self._name(linear)
        if product is not None and product.shift is not None:
            source = self.add("Sub", [source, self.constant(f"{name}.shift", product.shift)])
        if product is not None and product.smooth is not None:
            source = self.add("Div", [source, self.constant(f"{name}.smooth", product.smooth)])
        return source

    def _norm(self, states: str, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        inputs = [states, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)]
        return self.add("LayerNormalization", inputs, axis=-1, epsilon=NORM_EPSILON)

    def _batched(self, rows: str, width: int) -> str:
        """``(batch · tokens, width)`` as ``(batch, tokens, width)``."""
        shape = [self.shape, self.constant(f"width_{width}", [width])]
        return self.add("Reshape", [rows, self.writer.once(f"shape_{width}", "Concat", shape, axis=0)])

    def _flat(self, states: str) -> str:
        return self.add("Reshape", [states, self.constant("rows", [-1, self.tower.config.hidden_size])])

    def _product(self, linear: nn.Linear) -> Product | None:
        return self.products.get(self._name(linear))

    def _name(self, module: nn.Module) -> str:
        return self.names[id(module)]
