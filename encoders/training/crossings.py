"""The two crossings in torch: two unit vectors to the logit of relevance (paper.md §3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class CosineCrossing(nn.Module):
    """``scale · cos(q, d) + bias`` with both learned (paper.md §3.1).

    scale: its start; σ spans too little of (0, 1) at 1.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.bias = nn.Parameter(torch.tensor(-scale / 2))

    def forward(self, queries: Tensor, documents: Tensor) -> Tensor:
        """Logits ``(queries, documents)`` of every pair of two sets of unit rows."""
        return self.scale * (queries @ documents.T) + self.bias


class ResidualHead(nn.Module):
    """``w·(F(x) + x)`` with ``x = √dimension · max(q, d)`` and F linear (paper.md §3.2).

    Its output is added to the cosine crossing's logit; ``w`` starts at zero, so training starts from the cosine.
    The root brings unit rows to the size that the usual learning rates expect.
    """

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.residual = nn.Linear(dimension, dimension)
        self.output = nn.Linear(dimension, 1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, queries: Tensor, documents: Tensor) -> Tensor:
        """Logits to add, ``(queries, documents)``, of every pair of two sets of unit rows."""
        vector, bias = self.folded()
        return torch.maximum(queries[:, None, :], documents[None, :, :]) @ vector + bias

    def unfolded(self, queries: Tensor, documents: Tensor) -> Tensor:
        """What ``forward`` gives, written as the paper does; slower, kept as the reference."""
        crossed = torch.maximum(queries[:, None, :], documents[None, :, :]) * math.sqrt(queries.shape[-1])
        output: Tensor = self.output(self.residual(crossed) + crossed)
        return output.squeeze(-1)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The head as one vector and one bias: ``w·(W x + b₁ + x) + b = (Wᵀw + w)·x + (w·b₁ + b)``.

        The vector takes ``max(q, d)`` itself: the root of the dimension is folded in as well.
        """
        weight = self.output.weight[0]
        vector = (self.residual.weight.T @ weight + weight) * math.sqrt(len(weight))
        return vector, self.residual.bias @ weight + self.output.bias[0]
