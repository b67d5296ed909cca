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

    def chosen(self, student: Student) -> NDArray[np.float64]:
        """The measure to choose by, ``(questions,)``."""
        return self.auc(student) if self.measure == AUC else self.ndcg(student)

    def all(self, student: Student) -> dict[str, NDArray[np.float64]]:
        """Every measure that the questions have, ``(questions,)`` each."""
        found = {AUC: self.auc(student)} if self.mixed else {}
        return found | {NDCG: self.ndcg(student)}

    def auc(self, student: Student) -> NDArray[np.float64]:
        """ROC-AUC of each question that has documents of both kinds, over its known documents."""
        scores = self._scores(student, self.mixed)
        return np.array(
            [roc_auc(question.relevant, own) for question, own in zip(self.mixed, scores, strict=True)], dtype=float
        )

    def ndcg(self, student: Student) -> NDArray[np.float64]:
        """nDCG@10 of each question over all questions' documents and the distractors."""
        rows = np.unique(np.concatenate([self.distractors, *(question.documents for question in self.questions)]))
        documents = self.documents.encode(student.towers.document, rows)
        queries = self._queries(student, self.questions)
        return np.array(
            [
                ndcg(np.isin(rows[best(documents @ query)], question.documents[question.relevant]), question.relevant)
                for question, query in zip(self.questions, queries, strict=True)
            ],
            dtype=float,
        )

    def _scores(self, student: Student, questions: Sequence[Question]) -> list[NDArray[np.float32]]:
        if not questions:
            return []
        rows = np.unique(np.concatenate([question.documents for question in questions]))
        documents = self.documents.encode(student.towers.document, rows)
        queries = self._queries(student, questions)
        return [
            documents[np.searchsorted(rows, question.documents)] @ query
            for question, query in zip(questions, queries, strict=True)
        ]

    def _queries(self, student: Student, questions: Sequence[Question]) -> NDArray[np.float32]:
        return self.queries.encode(student.towers.query, np.array([question.query for question in questions]))


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
