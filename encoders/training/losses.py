"""What a student is taught by: a teacher's probabilities (the paper's form) and a teacher's vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def soft_label_loss(logits: Tensor, probabilities: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of a student under a teacher's probabilities, ``−Σ p log ŷ + (1 − p) log(1 − ŷ)`` (paper.md §4).

    logits, probabilities: of one shape. temperature: softens both sides; the loss is scaled back by its square
    (Hinton, Vinyals, Dean 2015, §2.1). Gives the mean.
    """
    if temperature != 1.0:
        probabilities = torch.sigmoid(torch.logit(probabilities, eps=1e-6) / temperature)
    loss = functional.binary_cross_entropy_with_logits(logits / temperature, probabilities)
    return loss * temperature**2


def alignment_loss(vectors: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``1 − cos`` between a student's unit rows and a teacher's."""
    return 1.0 - (vectors * targets).sum(dim=-1).mean()


def teacher_probabilities(queries: Tensor, documents: Tensor, sharpness: float, centre: float) -> Tensor:
    """A bi-encoder teacher's belief in every pair, ``σ(sharpness · (cos − centre))``: ``(queries, documents)``."""
    return torch.sigmoid(sharpness * (queries @ documents.T - centre))
