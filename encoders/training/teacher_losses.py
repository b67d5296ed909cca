"""What a teacher learns from: judgements, and before them a bi-encoder's cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .teacher_recipe import TeacherRecipe


def label_loss(logits: Tensor, labels: Tensor, queries: Tensor, listwise: float) -> Tensor:
    """Cross-entropy of each pair, and beside it of the pairs of each query against one another.

    logits, labels: ``(n,)``, labels in [0, 1]. queries: ``(n,)`` numbers; equal ones are compared.
    listwise: share of the comparison, ``−Σ (y / Σ y) · log softmax(z)`` (ListNet's top one; Cao et al. 2007, eq. 7,
    with the labels themselves as weights). Queries without a match have none.
    """
    each = functional.binary_cross_entropy_with_logits(logits, labels)
    losses = [
        -(labels[rows] / labels[rows].sum() * functional.log_softmax(logits[rows], dim=0)).sum()
        for rows in _by_query(queries)
        if labels[rows].sum() > 0
    ]
    return (1 - listwise) * each + listwise * _mean(losses, logits)


def guide_loss(logits: Tensor, cosines: Tensor, queries: Tensor, recipe: TeacherRecipe) -> Tensor:
    """Distance from a bi-encoder's cosines: as probabilities of each pair, and as a distribution over each query's.

    logits, cosines: ``(n,)``. queries: ``(n,)`` numbers; equal ones are compared, by the Kullback–Leibler divergence.
    """
    targets = recipe.sharpness * (cosines - recipe.centre)
    each = functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(targets))
    losses = [
        functional.kl_div(
            functional.log_softmax(logits[rows], dim=0),
            functional.log_softmax(targets[rows], dim=0),
            reduction="sum",
            log_target=True,
        )
        for rows in _by_query(queries)
    ]
    return 0.5 * each + 2.0 * _mean(losses, logits)


def _by_query(queries: Tensor) -> list[Tensor]:
    return [(queries == query).nonzero()[:, 0] for query in sorted(set(queries.tolist()))]


def _mean(losses: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(losses).mean() if losses else like.new_zeros(())
