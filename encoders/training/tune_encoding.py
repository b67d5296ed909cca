"""Tokenised texts through a tower in torch: batches of about equal length, with gradients or without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..serving.batches import token_budget
from .data import EncodedTexts, pad
from .towers import Tower

BUDGET = 2_048
"""Tokens of a batch, padding included: long enough to keep a core busy, short enough for its cache."""


class TowerEncoder:
    """Encodes rows of tokenised texts with whichever tower it is given.

    texts: tokenised. longest: tokens that are read of each. precision: ``bf16`` or ``fp32``.
    """

    def __init__(self, texts: EncodedTexts, longest: int, precision: str) -> None:
        self.texts, self.longest, self.precision = texts, longest, precision
        self.lengths = np.minimum(texts.lengths, longest)

    def learn(self, tower: Tower, rows: NDArray[np.int64]) -> Tensor:
        """Unit rows ``(rows, dimension)`` float32, through which gradients flow."""
        batches = list(token_budget(self.lengths[rows], BUDGET))
        with self._arithmetic():
            vectors = torch.cat([tower(*self._padded(rows[batch])) for batch in batches])
        return functional.normalize(vectors.float(), dim=-1)[torch.from_numpy(np.argsort(np.concatenate(batches)))]

    def encode(self, tower: Tower, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Unit rows ``(rows, dimension)`` float32 of a tower in evaluation mode."""
        vectors = np.empty((len(rows), tower.config.dimension), dtype=np.float32)
        for places, part in self.batches(tower, rows):
            vectors[places] = part
        return vectors

    def batches(self, tower: Tower, rows: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Places in ``rows`` and their unit rows, batch by batch."""
        for places in token_budget(self.lengths[rows], BUDGET):
            with torch.inference_mode(), self._arithmetic():
                vectors = functional.normalize(tower(*self._padded(rows[places])).float(), dim=-1)
            yield places, vectors.numpy()

    def _padded(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        ids, mask = pad(self.texts, rows)
        return ids[:, : self.longest], mask[:, : self.longest]

    def _arithmetic(self) -> AbstractContextManager[None]:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16")


def precision_of(wanted: str) -> str:
    """``bf16`` or ``fp32``: what was asked for, or for ``auto`` what this processor is quicker at.

    torch before 2.9 cannot tell what a processor has; there it is fp32.
    """
    if wanted != "auto":
        return wanted
    told: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return "bf16" if told.get("avx512_bf16") or told.get("amx_bf16") else "fp32"
