"""Hard negatives: what the original model ranks high for a question though nobody called it relevant."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .tune_data import Question, Texts

BLOCK = 256
"""Questions compared with the whole pool at once."""


def needy(questions: Sequence[Question], negatives: int) -> list[int]:
    """Places of the questions with fewer known negatives than a batch takes of each."""
    return [place for place, question in enumerate(questions) if (~question.relevant).sum() < negatives]


def hard_negatives(
    questions: Sequence[Question],
    queries: NDArray[np.float32],
    texts: Texts,
    pool: NDArray[np.float32],
    depth: int,
) -> list[NDArray[np.int64]]:
    """Rows of each question's nearest ``depth`` documents of ``texts.pool`` by the original vectors; exact.

    queries: ``(questions, dimension)``, pool: ``(len(texts.pool), dimension)``, unit rows. Documents of other
    collections, and those that are known to the question, relevant or not, are left out.
    """
    domains = texts.domains[texts.pool]
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(questions), BLOCK):
        scores = queries[start : start + BLOCK] @ pool.T
        for question, row in zip(questions[start : start + BLOCK], scores, strict=True):
            fresh = np.flatnonzero((domains == question.domain) & ~np.isin(texts.pool, question.documents))
            found.append(texts.pool[fresh[np.argsort(-row[fresh], kind="stable")[:depth]]])
    return found
