"""The student as one module: towers, crossings and the loss of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import TwinConfig
from .crossings import CosineCrossing, ResidualHead
from .data import Part
from .objective import Labels, crossing_loss, vector_loss
from .recipe import Loss
from .towers import TwinTowers


class Student(nn.Module):
    """A TwinBERT: two towers and the crossings on one pair of unit vectors.

    config: the model; without a ``crossing`` it has no head and serves the cosine alone.
    loss: how the parts of the loss are weighed in training.
    """

    def __init__(self, config: TwinConfig, loss: Loss | None = None) -> None:
        super().__init__()
        self.towers = TwinTowers(config)
        self.cosine = CosineCrossing()
        self.head = ResidualHead(config.tower.dimension, config.crossing) if config.crossing else None
        self.loss = loss or Loss()

    def logits(self, queries: Tensor, documents: Tensor) -> list[Tensor]:
        """Each crossing's logits ``(queries, documents)``: the cosine's, then the residual's where there is a head."""
        cosine = self.cosine(queries, documents)
        if self.head is None:
            return [cosine]
        head = self.head(queries, documents)
        return [cosine, cosine + head if self.head.config.cosine else head]

    def forward(self, queries: Part, documents: Part, pairs: Part) -> dict[str, Tensor]:
        """The loss of one batch (see ``BatchedPairs``), averaged over the crossings."""
        given = Labels(**pairs, query_vectors=queries.get("vectors"), document_vectors=documents.get("vectors"))
        vectors = self.towers.query(queries["ids"], queries["mask"])
        against = self.towers.document(documents["ids"], documents["mask"])
        crossed = [crossing_loss(logits, given, self.loss) for logits in self.logits(vectors, against)]
        return {"loss": torch.stack(crossed).mean() + vector_loss(vectors, against, given, self.loss)}

    def pair_logits(self, queries: Part, documents: Part, pairs: Part) -> Tensor:
        """The last crossing's logits of a batch's pairs, ``(pairs,)``: what is served."""
        vectors = self.towers.query(queries["ids"], queries["mask"])
        against = self.towers.document(documents["ids"], documents["mask"])
        return self.logits(vectors, against)[-1][pairs["queries"], pairs["documents"]]
