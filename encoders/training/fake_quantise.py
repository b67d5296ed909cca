"""Quantisation in the loop: towers that train with the rounding that their int8 export will have.

What a tower computes inside ``quantised`` is what the ``plain`` int8 recipe computes: activations rounded with a scale
a token, weights with a scale a column, token vectors as the table's format has them. Gradients pass the rounding as if
it were not there (straight-through estimator, Bengio et al. 2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from .quantisation.products import Rounding, linear_maps, rounding_of
from .quantisation.table import BLOCK, require_format
from .towers import Tower


@contextmanager
def quantised(module: nn.Module, table: str = "int8") -> Iterator[None]:
    """Let every tower in a module compute as its int8 export will, until the block ends.

    table: format of the token table, ``int8`` or ``int4``, as the export's options name it.
    Parameters and the names in ``state_dict`` stay what they are.

    Raises ModelError for a table of another format, or for a width that it cannot hold.
    """
    towers = [part for part in module.modules() if isinstance(part, Tower)]
    for tower in towers:
        require_format(table, tower.config.embedding_size)
    swapped: list[nn.Module] = []
    for tower in towers:
        for name, linear in linear_maps(tower):
            linear.__class__ = _GeluFedLinear if rounding_of(name) == Rounding.after_gelu() else _QuantisedLinear
            swapped.append(linear)
        tower.tokens.table.__class__ = _Int8Embedding if table == "int8" else _Int4Embedding
        swapped.append(tower.tokens.table)
    try:
        yield
    finally:
        for part in swapped:
            part.__class__ = nn.Linear if isinstance(part, nn.Linear) else nn.Embedding


def fake_activations(values: Tensor, rounding: Rounding) -> Tensor:
    """Round ``(…, inputs)`` as an int8 product rounds its activations, a scale for each row."""
    sizes = values if rounding.least else values.abs()
    scales = (sizes.amax(dim=-1, keepdim=True) * rounding.step).clamp(min=rounding.least)
    numbers = torch.round(values / scales.where(scales > 0, 1.0)) + rounding.zero
    return _straight_through(values, (numbers.clamp(0, 255) - rounding.zero) * scales)


def fake_weights(weight: Tensor) -> Tensor:
    """Round ``(outputs, inputs)`` to the nearest of 255 steps an output, or a token table's rows in 8 bits."""
    scales = weight.abs().amax(dim=-1, keepdim=True).clamp(min=1e-12) / 127
    return _straight_through(weight, torch.round(weight / scales) * scales)


def fake_int4(rows: Tensor) -> Tensor:
    """Round ``(…, width)`` token vectors in blocks of 32 numbers to 4 bits, with the float16 that the graph reads."""
    blocks = rows.reshape(*rows.shape[:-1], -1, BLOCK)
    scales = (blocks.abs().amax(dim=-1, keepdim=True).clamp(min=1e-6) / 7).half().float()
    numbers = torch.round(blocks / scales).clamp(-7, 7)
    return _straight_through(rows, (numbers * scales).half().float().flatten(-2))


def _straight_through(values: Tensor, rounded: Tensor) -> Tensor:
    return values + (rounded - values).detach()


class _QuantisedLinear(nn.Linear):
    rounding = Rounding.symmetric()

    def forward(self, inputs: Tensor) -> Tensor:
        return functional.linear(fake_activations(inputs, self.rounding), fake_weights(self.weight), self.bias)


class _GeluFedLinear(_QuantisedLinear):
    rounding = Rounding.after_gelu()


class _Int8Embedding(nn.Embedding):
    def forward(self, ids: Tensor) -> Tensor:
        return fake_weights(super().forward(ids))


class _Int4Embedding(nn.Embedding):
    def forward(self, ids: Tensor) -> Tensor:
        return fake_int4(super().forward(ids))
