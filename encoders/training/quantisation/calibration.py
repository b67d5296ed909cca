"""What the linear maps of a tower are given when it reads calibration texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...serving.batches import pad, token_budget
from ..towers import Tower
from .products import linear_maps

BATCH_TOKENS = 2_048
MOST_ROWS = 16_384
"""Tokens kept: bounds memory to about 1 GB for 6 layers of 384."""


def capture(tower: Tower, texts: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
    """The inputs of every linear map, ``(tokens, inputs)`` float32, padding left out, by the map's name.

    texts: token ids, as the tower's tokeniser gives them.
    """
    found: dict[str, list[Tensor]] = {name: [] for name, _ in linear_maps(tower)}
    there = torch.empty(0)

    def keep(name: str, inputs: Tensor) -> None:
        rows = inputs.reshape(-1, inputs.shape[-1])
        found[name].append(rows[there] if len(rows) == len(there) else rows)

    hooks = [
        linear.register_forward_pre_hook(lambda _, inputs, name=name: keep(name, inputs[0]))
        for name, linear in linear_maps(tower)
    ]
    lengths = np.array([len(text) for text in texts])
    with torch.inference_mode():
        for places in token_budget(lengths, BATCH_TOKENS):
            ids, mask = (torch.from_numpy(array) for array in pad([texts[place] for place in places]))
            there = mask.reshape(-1).bool()
            tower(ids, mask)
    for hook in hooks:
        hook.remove()
    return {name: _sample(torch.cat(rows)) for name, rows in found.items()}


def _sample(rows: Tensor) -> NDArray[np.float32]:
    if len(rows) > MOST_ROWS:
        rows = rows[torch.linspace(0, len(rows) - 1, MOST_ROWS).long()]
    return rows.numpy()
