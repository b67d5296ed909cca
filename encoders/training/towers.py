"""The towers in torch: token ids in, one unit vector out (Lu, Jiao, Zhang 2020; shapes as in paper.md §1–2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..config import TowerConfig, TwinConfig

MASKED = 1e8
"""What a padded position loses before a softmax (paper.md §2)."""


class WeightedAverage(nn.Module):
    """Weighted average pooling: one learned logit a position, softmax over the text, weighted sum (paper.md §2)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.logit = nn.Linear(size, 1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool ``(batch, tokens, size)`` states under a ``(batch, tokens)`` 0/1 mask into ``(batch, size)``."""
        logits = self.logit(states).squeeze(-1) + (mask - 1.0) * MASKED
        weights = torch.softmax(logits, dim=-1).unsqueeze(1)
        return torch.matmul(weights, states).squeeze(1)


class MeanPooling(nn.Module):
    """The plain average of what is there."""

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Pool as ``WeightedAverage`` does."""
        there = mask.unsqueeze(-1)
        return (states * there).sum(dim=1) / there.sum(dim=1)


class FirstPosition(nn.Module):
    """The state of the mark before the text: BERT's [CLS], or the trigram tokeniser's own."""

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - one signature for all poolings
        """Pool as ``WeightedAverage`` does."""
        return states[:, 0]


def pooling(config: TowerConfig) -> nn.Module:
    """The pooling that a configuration names."""
    if config.pooling == "weighted":
        return WeightedAverage(config.hidden_size)
    return MeanPooling() if config.pooling == "mean" else FirstPosition()


class TokenEmbedding(nn.Module):
    """Ids to vectors, ``(batch, tokens, embedding_size)``.

    WordPiece ids are ``(batch, tokens)`` int64; trigrams ``(batch, words, 20)``, and a word is the sum of its own.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.vocab_size, config.embedding_size, padding_idx=0)

    def forward(self, ids: Tensor) -> Tensor:
        """Look the tokens up."""
        vectors: Tensor = self.table(ids)
        return vectors.sum(dim=2) if ids.dim() == 3 else vectors


class Layer(nn.Module):
    """One transformer block, normalised after each residual sum as in BERT."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(size, 3 * size)
        self.attention_output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, eps=1e-12)
        self.up = nn.Linear(size, config.ffn_size)
        self.down = nn.Linear(config.ffn_size, size)
        self.output_norm = nn.LayerNorm(size, eps=1e-12)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, states: Tensor, hidden: Tensor) -> Tensor:
        """Map ``(batch, tokens, hidden)`` to the same.

        hidden: ``(batch, 1, 1, tokens)`` float32, 0 for what may be attended to, hugely negative for padding.
        """
        states = self.attention_norm(states + self.drop(self.attention_output(self._attend(states, hidden))))
        output: Tensor = self.output_norm(states + self.drop(self.down(functional.gelu(self.up(states)))))
        return output

    def _attend(self, states: Tensor, hidden: Tensor) -> Tensor:
        batch, tokens, size = states.shape
        split = self.qkv(states).view(batch, tokens, 3, self.heads, size // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, size / heads)
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=hidden, dropout_p=dropout)
        return mixed.transpose(1, 2).reshape(batch, tokens, size)


class Tower(nn.Module):
    """One side of TwinBERT: embed, transform, pool, project, normalise."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        wide, hidden = config.embedding_size, config.hidden_size
        self.config = config
        self.tokens = TokenEmbedding(config)
        self.widen = nn.Linear(wide, hidden) if wide != hidden else nn.Identity()
        self.positions = nn.Embedding(config.max_tokens, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12) if config.embedding_norm else nn.Identity()
        self.drop = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.pool = pooling(config)
        self.project = nn.Linear(hidden, config.dimension) if config.projects else nn.Identity()
        self.skip_pool = WeightedAverage(wide) if config.skip else None
        self.skip_project = nn.Linear(wide, config.dimension, bias=False) if config.skip else None
        self.apply(self._initialise)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode token ids.

        ids: ``(batch, tokens)`` int64, or ``(batch, words, 20)`` for trigrams; 0 is padding.
        mask: ``(batch, tokens)`` float32, 1 for what is there.
        Gives ``(batch, dimension)`` float32 unit rows.
        """
        return functional.normalize(self.pooled(ids, mask), dim=-1)

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Encode like ``forward``, before the normalisation."""
        states, averaged = self.features(ids, mask)
        vector: Tensor = self.project(states)
        if self.skip_project is not None:
            vector = vector + self.skip_project(averaged)
        return torch.tanh(vector) if self.config.tanh else vector

    def features(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The two averages that ``pooled`` projects: of the last states, and of the token vectors."""
        embedded = self.tokens(ids)
        order = torch.arange(mask.shape[1], device=mask.device)
        states = self.drop(self.norm(self.widen(embedded) + self.positions(order)))
        hidden = ((mask - 1.0) * MASKED)[:, None, None, :]
        for layer in self.layers:
            states = layer(states, hidden)
        averaged = self.skip_pool(embedded, mask) if self.skip_pool is not None else embedded[:, 0]
        return self.pool(states, mask), averaged


class TwinTowers(nn.Module):
    """Both towers; ``shared`` gives one tower two names, stored once."""

    def __init__(self, config: TwinConfig) -> None:
        super().__init__()
        self.config = config
        self.query = Tower(config.tower_of("query"))
        self.separate = None if config.shared else Tower(config.tower)

    @property
    def document(self) -> Tower:
        """The document tower."""
        return self.query if self.separate is None else self.separate
