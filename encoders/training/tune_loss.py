"""What tuning learns from: a question's relevant document against the batch, judgements, a teacher's scores, an anchor.

The listwise part is the softmax cross-entropy of each relevant document among all that the batch holds, its own
negatives and the other questions' documents (in-batch negatives; Karpukhin et al. 2020, arXiv 2004.04906).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .losses import soft_label_loss
from .student import Student
from .tune_batches import TuneBatch
from .tune_options import TuneOptions


def batch_loss(student: Student, queries: Tensor, documents: Tensor, batch: TuneBatch, options: TuneOptions) -> Tensor:
    """The loss of one batch, averaged over the crossings that the model serves.

    queries: ``(q, dimension)``, documents: ``(d, dimension)``, unit rows.
    """
    cosine = queries @ documents.T / options.temperature
    crossed = student.logits(queries, documents)
    total = listwise_loss(cosine, batch) + label_loss(crossed[0], batch, options)
    if student.head is None:
        return total
    return (total + listwise_loss(crossed[1], batch) + label_loss(crossed[1], batch, options)) / 2


def listwise_loss(logits: Tensor, batch: TuneBatch) -> Tensor:
    """Mean cross-entropy of the batch's relevant pairs, each among all documents but the query's other relevant ones.

    logits: ``(q, d)``.
    """
    rows, columns = (torch.from_numpy(places[batch.relevant]) for places in (batch.rows, batch.columns))
    own = functional.one_hot(columns, logits.shape[1]).bool()
    rivals = logits[rows].masked_fill(torch.from_numpy(batch.known)[rows] & ~own, float("-inf"))
    return functional.cross_entropy(rivals, columns)


def label_loss(logits: Tensor, batch: TuneBatch, options: TuneOptions) -> Tensor:
    """Cross-entropy of the pairs on judgements and on a teacher's scores; pairs without either count nothing."""
    pairs = logits[torch.from_numpy(batch.rows), torch.from_numpy(batch.columns)]
    hard = soft_label_loss(pairs, torch.from_numpy(batch.labels))
    return options.hard * hard + options.soft * soft_label_loss(pairs, torch.from_numpy(batch.scores))
