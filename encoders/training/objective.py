"""The loss of a batch: what the recipe weighs, over the logits of each crossing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .losses import (
    alignment_loss,
    contrastive_loss,
    logit_loss,
    margin_loss,
    random_negative_loss,
    soft_label_loss,
    teacher_probabilities,
)
from .recipe import Loss

RELEVANT = 0.5
"""Labels, or scores where there are no labels, from which on a pair counts as relevant."""


@dataclass(frozen=True)
class Labels:
    """What is known of a batch's pairs.

    queries, documents: ``(pairs,)`` rows of the batch's distinct queries and documents.
    scores, labels: ``(pairs,)`` teacher's probabilities and judgements, NaN where there are none.
    query_vectors, document_vectors: a bi-encoder teacher's unit rows of the distinct texts, or None.
    """

    queries: Tensor
    documents: Tensor
    scores: Tensor
    labels: Tensor
    query_vectors: Tensor | None = None
    document_vectors: Tensor | None = None

    @property
    def relevant(self) -> Tensor:
        """Which pairs are relevant, ``(pairs,)`` bool: by judgement, else by the teacher's probability."""
        return torch.where(torch.isnan(self.labels), self.scores, self.labels) >= RELEVANT


def crossing_loss(logits: Tensor, given: Labels, loss: Loss) -> Tensor:
    """The weighted loss of one crossing's logits ``(distinct queries, distinct documents)``."""
    pairs = logits[given.queries, given.documents]
    total = logits.new_zeros(())
    if loss.soft and given.query_vectors is not None and given.document_vectors is not None:
        belief = teacher_probabilities(given.query_vectors, given.document_vectors, loss.sharpness, loss.centre)
        total = total + loss.soft * soft_label_loss(logits, belief, loss.temperature)
    elif loss.soft:
        total = total + loss.soft * soft_label_loss(pairs, given.scores, loss.temperature)
    if loss.hard:
        total = total + loss.hard * soft_label_loss(pairs, given.labels)
    if loss.mse:
        total = total + loss.mse * logit_loss(pairs, given.scores)
    if loss.margin:
        total = total + loss.margin * margin_loss(pairs, given.scores, given.queries)
    if loss.contrastive:
        total = total + loss.contrastive * contrastive_loss(logits, given.queries, given.documents, given.relevant)
    if loss.random_negatives:
        drawn = random_negative_loss(logits, given.queries, given.documents, loss.random_negatives)
        total = total + loss.random_weight * drawn
    return total


def vector_loss(queries: Tensor, documents: Tensor, given: Labels, loss: Loss) -> Tensor:
    """The weighted loss of both sides' unit rows against a bi-encoder teacher's."""
    if given.query_vectors is None or given.document_vectors is None or not loss.alignment:
        return queries.new_zeros(())
    aligned = alignment_loss(queries, given.query_vectors) + alignment_loss(documents, given.document_vectors)
    return loss.alignment * aligned / 2
