"""Batches of tuning: questions, one relevant document each, negatives, and general texts to hold on to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .tune_data import Question
from .tune_options import TuneOptions


@dataclass(frozen=True, slots=True, eq=False)
class TuneBatch:
    """Distinct texts and the pairs among them.

    queries: ``(q,)``, documents: ``(d,)`` int64 rows of the texts, each once.
    rows, columns: ``(pairs,)`` places in them. labels, scores: ``(pairs,)`` float32, NaN where unknown.
    known: ``(q, d)`` bool, documents that are relevant to a query, whether drawn for it or not.
    """

    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    labels: NDArray[np.float32]
    scores: NDArray[np.float32]
    relevant: NDArray[np.bool_]
    known: NDArray[np.bool_]


class Batches:
    """Draws the batches of an epoch, each anew.

    questions: to learn from. mined: hard negatives of each, rows of documents.
    Questions of all domains are shuffled together, so that domains are interleaved by their sizes.
    """

    def __init__(self, questions: Sequence[Question], mined: Sequence[NDArray[np.int64]], options: TuneOptions) -> None:
        self.questions, self.mined, self.options = questions, mined, options

    def __len__(self) -> int:
        return math.ceil(len(self.questions) / self.options.questions)

    def epoch(self, draw: np.random.Generator) -> Iterator[TuneBatch]:
        """Every question once."""
        order = draw.permutation(len(self.questions))
        for start in range(0, len(order), self.options.questions):
            yield self._batch(order[start : start + self.options.questions], draw)

    def _batch(self, places: NDArray[np.int64], draw: np.random.Generator) -> TuneBatch:
        chosen = [self._chosen(place, draw) for place in places]
        questions = [self.questions[place] for place in places]
        queries, rows = np.unique([question.query for question in questions], return_inverse=True)
        documents, columns = np.unique(np.concatenate([each.documents for each in chosen]), return_inverse=True)
        known = np.zeros((len(queries), len(documents)), dtype=bool)
        for row, question in zip(rows, questions, strict=True):
            known[row] |= np.isin(documents, question.documents[question.relevant])
        return TuneBatch(
            queries,
            documents,
            np.repeat(rows, [len(each.documents) for each in chosen]),
            columns,
            np.concatenate([each.labels for each in chosen]),
            np.concatenate([each.scores for each in chosen]),
            np.concatenate([each.relevant for each in chosen]),
            known,
        )

    def _chosen(self, place: int, draw: np.random.Generator) -> Question:
        """One relevant document and the question's negatives, judged ones first."""
        question, wanted = self.questions[place], self.options.negatives
        positive = draw.choice(np.flatnonzero(question.relevant), 1)
        judged = draw.permutation(np.flatnonzero(~question.relevant))[:wanted]
        mined = draw.permutation(self.mined[place])[: wanted - len(judged)]
        kept, unknown = np.concatenate([positive, judged]), np.full(len(mined), np.nan, dtype=np.float32)
        return Question(
            question.query,
            np.concatenate([question.documents[kept], mined]),
            np.concatenate([question.labels[kept], unknown]),
            np.concatenate([question.scores[kept], unknown]),
            question.domain,
        )
