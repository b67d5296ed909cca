"""The two crossings in torch: two unit vectors to the logit of relevance (paper.md §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import CrossingConfig
from ..serving.crossing import input_scale


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
    """``w·(F(x) + x)`` with x a combination of the two vectors and F as configured (paper.md §3.2).

    Where its output is added to the cosine crossing's logit, ``w`` starts at zero: training starts from the cosine.
    x is scaled so that its entries have the size that the usual learning rates expect.
    """

    def __init__(self, dimension: int, config: CrossingConfig) -> None:
        super().__init__()
        size = dimension * (2 if config.combination == "concat" else 1)
        self.config, self.input_scale = config, input_scale(config.combination, dimension)
        if config.residual == "bottleneck":
            self.narrow, self.widen = nn.Linear(size, config.width), nn.Linear(config.width, size)
        else:
            self.residual = nn.Linear(size, size)
        self.output = nn.Linear(size, 1)
        if config.cosine:
            nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, queries: Tensor, documents: Tensor) -> Tensor:
        """Logits to add, ``(queries, documents)``, of every pair of two sets of unit rows."""
        combined = self._combined(queries[:, None, :], documents[None, :, :])
        if self.config.residual == "linear":
            vector, bias = self.folded()
            return combined @ vector + bias
        return self._unfolded(combined)

    def unfolded(self, queries: Tensor, documents: Tensor) -> Tensor:
        """What ``forward`` gives, written as the paper does; slower for a linear F, kept as the reference."""
        return self._unfolded(self._combined(queries[:, None, :], documents[None, :, :]))

    def folded(self) -> tuple[Tensor, Tensor]:
        """A linear head as one vector and one bias: ``w·(W x + b₁ + x) + b = (Wᵀw + w)·x + (w·b₁ + b)``.

        The vector takes the combination itself: its scale is folded in as well.
        """
        weight = self.output.weight[0]
        vector = (self.residual.weight.T @ weight + weight) * self.input_scale
        return vector, self.residual.bias @ weight + self.output.bias[0]

    def _combined(self, queries: Tensor, documents: Tensor) -> Tensor:
        if self.config.combination == "max":
            return torch.maximum(queries, documents)
        if self.config.combination == "product":
            return queries * documents
        both = (len(queries), documents.shape[1], -1)
        return torch.cat([queries.expand(both), documents.expand(both)], dim=-1)

    def _unfolded(self, combined: Tensor) -> Tensor:
        x = combined * self.input_scale
        if self.config.residual == "linear":
            crossed = self.residual(x) + x
        elif self.config.residual == "relu":
            crossed = functional.relu(self.residual(x)) + x
        else:
            crossed = functional.relu(self.widen(functional.relu(self.narrow(x))) + x)
        logits: Tensor = self.output(crossed)
        return logits.squeeze(-1)
