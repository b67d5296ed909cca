"""What a student is taught by: a teacher's probabilities, judgements, a teacher's margins, a teacher's vectors.

Pairs without a label of the wanted kind carry NaN there and count nothing; a loss over none of them is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 where their logit is taken."""


def soft_label_loss(logits: Tensor, probabilities: Tensor, temperature: float = 1.0) -> Tensor:
    """Cross-entropy of a student under a teacher's probabilities, ``−Σ p log ŷ + (1 − p) log(1 − ŷ)`` (paper.md §4).

    logits, probabilities: of one shape. temperature: softens both sides; the loss is scaled back by its square
    (Hinton, Vinyals, Dean 2015, §2.1). Gives the mean.
    """
    if temperature != 1.0:
        probabilities = torch.sigmoid(_logit(probabilities) / temperature)
    known = ~torch.isnan(probabilities)
    loss = functional.binary_cross_entropy_with_logits(
        logits[known] / temperature, probabilities[known], reduction="sum"
    )
    return loss * temperature**2 / known.sum().clamp(min=1)


def logit_loss(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Mean squared error between a student's logits and a teacher's, ``log p / (1 − p)`` (DeepGNN, paper.md §4)."""
    known = ~torch.isnan(probabilities)
    errors = logits[known] - _logit(probabilities[known])
    return errors.square().sum() / known.sum().clamp(min=1)


def margin_loss(logits: Tensor, probabilities: Tensor, queries: Tensor) -> Tensor:
    """Mean squared error between margins, over all couples of documents of one query (Hofstätter et al. 2020).

    logits, probabilities: ``(pairs,)``. queries: ``(pairs,)`` which query each pair belongs to.
    """
    aims = _logit(probabilities)
    same = torch.triu(queries[:, None] == queries[None, :], diagonal=1)
    errors = (logits[:, None] - logits[None, :]) - (aims[:, None] - aims[None, :])
    known = same & ~torch.isnan(errors)
    return errors[known].square().sum() / known.sum().clamp(min=1)


def contrastive_loss(logits: Tensor, queries: Tensor, documents: Tensor, relevant: Tensor) -> Tensor:
    """Cross-entropy of each relevant pair among the batch's documents (C-DSSM's form, paper.md §4).

    logits: ``(distinct queries, distinct documents)``. queries, documents: ``(pairs,)`` rows and columns of the pairs.
    relevant: ``(pairs,)`` bool. A query's other relevant documents are left out of its denominator.
    """
    rows, columns = queries[relevant], documents[relevant]
    theirs = torch.zeros_like(logits, dtype=torch.bool)
    theirs[rows, columns] = True
    own = functional.one_hot(columns, logits.shape[1]).bool()
    rivals = logits[rows].masked_fill(theirs[rows] & ~own, float("-inf"))
    loss = functional.cross_entropy(rivals, columns, reduction="sum")
    return loss / relevant.sum().clamp(min=1)


def random_negative_loss(logits: Tensor, queries: Tensor, documents: Tensor, count: int) -> Tensor:
    """Cross-entropy of ``count`` random documents of the batch a pair, held for irrelevant (DeepGNN, paper.md §4).

    logits, queries, documents: as in ``contrastive_loss``. What the batch lists as a pair is never drawn.
    """
    listed = torch.zeros_like(logits, dtype=torch.bool)
    listed[queries, documents] = True
    drawn = [(queries, documents[torch.randperm(len(documents), device=documents.device)]) for _ in range(count)]
    rows, columns = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    kept = ~listed[rows, columns]
    loss = functional.softplus(logits[rows[kept], columns[kept]]).sum()
    return loss / kept.sum().clamp(min=1)


def alignment_loss(vectors: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``1 − cos`` between a student's unit rows and a teacher's."""
    return 1.0 - (vectors * targets).sum(dim=-1).mean()


def teacher_probabilities(queries: Tensor, documents: Tensor, sharpness: float, centre: float) -> Tensor:
    """A bi-encoder teacher's belief in every pair, ``σ(sharpness · (cos − centre))``: ``(queries, documents)``."""
    return torch.sigmoid(sharpness * (queries @ documents.T - centre))


def _logit(probabilities: Tensor) -> Tensor:
    return torch.logit(probabilities, eps=SMALLEST)
