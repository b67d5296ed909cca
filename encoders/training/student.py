"""The student as one module: towers, both crossings and the loss of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import TwinConfig
from .crossings import CosineCrossing, ResidualHead
from .losses import alignment_loss, soft_label_loss, teacher_probabilities
from .recipe import Loss
from .towers import TwinTowers


class Student(nn.Module):
    """A TwinBERT: two towers and two crossings on one shared pair of vectors.

    config: the model. loss: how its parts are weighed in training.
    """

    def __init__(self, config: TwinConfig, loss: Loss | None = None) -> None:
        super().__init__()
        self.towers = TwinTowers(config)
        self.cosine = CosineCrossing()
        self.head = ResidualHead(config.tower.dimension)
        self.loss = loss or Loss()

    def logits(self, queries: Tensor, documents: Tensor) -> tuple[Tensor, Tensor]:
        """Both crossings' logits ``(queries, documents)``: the cosine's, and the residual's, which adds the head."""
        cosine = self.cosine(queries, documents)
        return cosine, cosine + self.head(queries, documents)

    def forward(
        self,
        query_ids: Tensor,
        query_mask: Tensor,
        document_ids: Tensor,
        document_mask: Tensor,
        scores: Tensor,
        query_targets: Tensor | None = None,
        document_targets: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The loss of one batch of pairs (see ``BatchedPairs``).

        A teacher of vectors labels every pair of the batch; scores label each query with its own document.
        """
        queries = self.towers.query(query_ids, query_mask)
        documents = self.towers.document(document_ids, document_mask)
        cosine, residual = self.logits(queries, documents)
        total = torch.zeros(())
        if query_targets is not None and document_targets is not None:
            aligned = alignment_loss(queries, query_targets) + alignment_loss(documents, document_targets)
            total = total + self.loss.alignment * aligned / 2
            labels = teacher_probabilities(query_targets, document_targets, self.loss.sharpness, self.loss.centre)
        else:
            cosine, residual, labels = cosine.diagonal(), residual.diagonal(), scores
        soft = soft_label_loss(cosine, labels, self.loss.temperature) + soft_label_loss(
            residual, labels, self.loss.temperature
        )
        return {"loss": total + self.loss.soft * soft / 2}
