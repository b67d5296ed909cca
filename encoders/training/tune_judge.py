"""Measuring a student on questions that it does not learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .measures import roc_auc
from .student import Student
from .tune_data import Question
from .tune_encoding import TowerEncoder
from .tune_measures import Gain, best, gain_of, ndcg

AUC, NDCG = "AUC by question", "nDCG@10"
HELD_OUT, REPORTED = "held out", "reported"


class Judge:
    """Measures a student on questions by its cosine.

    queries, documents: the encoders of both sides. questions: to measure on. distractors: rows of documents beside
    which the known ones are ranked for nDCG.
    """

    def __init__(
        self,
        queries: TowerEncoder,
        documents: TowerEncoder,
        questions: Sequence[Question],
        distractors: NDArray[np.int64],
    ) -> None:
        self.queries, self.documents, self.distractors = queries, documents, distractors
        self.questions = questions
        self.mixed = [question for question in questions if question.mixed]

    @property
    def measure(self) -> str:
        """The measure to choose by: AUC where most questions have it, else nDCG."""
        return AUC if 2 * len(self.mixed) > len(self.questions) else NDCG

    @property
    def share(self) -> float:
        """Share of the documents, and so of the time, that the measure to choose by takes of all measures."""
        if self.measure == NDCG:
            return 1.0
        return len(known_rows(self.mixed)) / len(np.union1d(self.distractors, known_rows(self.questions)))

    def chosen(self, student: Student) -> NDArray[np.float64]:
        """The measure to choose by, ``(questions,)``."""
        if self.measure == NDCG:
            return self.all(student)[NDCG]
        return self._encoded(student, self.mixed, known_rows(self.mixed)).auc()

    def all(self, student: Student) -> dict[str, NDArray[np.float64]]:
        """Every measure that the questions have, ``(questions,)`` each.

        AUC is of those that have known documents of both kinds.
        """
        rows = np.union1d(self.distractors, known_rows(self.questions))
        encoded = self._encoded(student, self.questions, rows)
        return ({AUC: encoded.auc()} if self.mixed else {}) | {NDCG: encoded.ndcg()}

    def _encoded(self, student: Student, questions: Sequence[Question], rows: NDArray[np.int64]) -> Encoded:
        queries = self.queries.encode(student.towers.query, np.array([question.query for question in questions]))
        return Encoded(questions, queries, rows, self.documents.encode(student.towers.document, rows))


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Questions and documents with their vectors. rows: ``(n,)`` of the documents, ascending."""

    questions: Sequence[Question]
    queries: NDArray[np.float32]
    rows: NDArray[np.int64]
    documents: NDArray[np.float32]

    def auc(self) -> NDArray[np.float64]:
        """ROC-AUC of each question that has known documents of both kinds, over these."""
        return np.array(
            [
                roc_auc(question.relevant, self.documents[np.searchsorted(self.rows, question.documents)] @ query)
                for question, query in zip(self.questions, self.queries, strict=True)
                if question.mixed
            ],
            dtype=float,
        )

    def ndcg(self) -> NDArray[np.float64]:
        """nDCG@10 of each question over all the documents."""
        return np.array(
            [
                ndcg(
                    np.isin(self.rows[best(self.documents @ query)], question.documents[question.relevant]),
                    question.relevant,
                )
                for question, query in zip(self.questions, self.queries, strict=True)
            ],
            dtype=float,
        )


def known_rows(questions: Sequence[Question]) -> NDArray[np.int64]:
    """Rows of all documents that the questions know something of, ascending."""
    return np.unique(np.concatenate([question.documents for question in questions]))


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """A student's figures. chosen: ``(questions,)`` the measure to choose by. splits: by split and measure."""

    chosen: NDArray[np.float64]
    splits: dict[str, dict[str, NDArray[np.float64]]]

    def gains(self, after: Measured, split: str) -> dict[str, Gain]:
        """What another student gains on a split, by measure."""
        return {name: gain_of(one, after.splits[split][name]) for name, one in self.splits.get(split, {}).items()}


def measured(student: Student, judge: Judge, reported: Judge | None) -> Measured:
    """Measure a student, in evaluation mode, on the questions held out and on those to report."""
    splits = {HELD_OUT: judge.all(student)}
    if reported is not None:
        splits[REPORTED] = reported.all(student)
    return Measured(splits[HELD_OUT][judge.measure], splits)
