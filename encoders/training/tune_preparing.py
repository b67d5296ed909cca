"""Before tuning: texts tokenised once, the original vectors of some, hard negatives, and the first measurement."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..config import Side
from ..folder import ModelFolder
from ..serving.tokenizing import tokenizer_of
from .data import encode_texts
from .quantisation.texts import read_texts
from .student import Student
from .trainer import Report
from .tune_batches import Batches
from .tune_data import Question, Texts, TuneData, held_apart, joined
from .tune_encoding import TowerEncoder, precision_of
from .tune_judge import Judge, Measured, measured
from .tune_measures import Drift, drift_of
from .tune_options import TuneOptions
from .tune_pool import hard_negatives, needy
from .tune_training import Anchor, FixedVectors, Lesson

DISTRACTORS = 1_000
"""Documents of the collections beside which held-out questions are ranked for nDCG."""
UNLABELLED = 1_000
"""Documents of the collections that are among the texts which are held to their vectors."""
MOST_GENERAL = 2_000
"""General texts that are drawn where there are more: each costs time before training."""
WATCHED = 4
"""One general text in so many is not trained on but watched for drift."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """All that a run needs, and the original's figures.

    watched: general texts whose drift is reported. seconds: what it took to measure all figures once.
    """

    lesson: Lesson
    judge: Judge
    reported: Judge | None
    watched: Anchor
    before: Measured
    seconds: float

    def measured(self, student: Student) -> Measured:
        """All figures of a student, in evaluation mode."""
        return measured(student, self.judge, self.reported)

    def drift(self) -> Drift:
        """What is left of the watched texts' vectors."""
        new = self.watched.texts.encode(self.watched.tower, self.watched.rows)
        return drift_of(self.watched.vectors, new)


class Reader:
    """Tokenises texts for a side of a model."""

    def __init__(self, student: Student, folder: ModelFolder, options: TuneOptions) -> None:
        self.config, self.longest = student.towers.config, options.longest
        self.vocabulary = folder.tokenizer if folder.tokenizer.exists() else None
        self.precision = precision_of(options.precision)

    def read(self, side: Side, texts: Sequence[str]) -> TowerEncoder:
        """Texts that a tower of this side can encode."""
        encoded = encode_texts(tokenizer_of(self.config, side, self.vocabulary), texts, None)
        return TowerEncoder(encoded, self.longest, self.precision)


def prepare(
    student: Student, folder: ModelFolder, data: TuneData, options: TuneOptions, progress: Report | None
) -> Prepared:
    """Read everything and measure the original model, ``student``.

    Raises InvalidInputError for data that leaves nothing to learn from.
    """
    texts, questions, reported = joined(data.domains, options.pool, options.seed)
    learned, apart = held_apart(questions, options.held_out, options.seed)
    reader = Reader(student, folder, options)
    queries, documents = reader.read("query", texts.queries), reader.read("document", texts.documents)
    distractors = np.random.default_rng(options.seed).permutation(texts.pool)[:DISTRACTORS]
    judge = Judge(queries, documents, apart, distractors)
    beside = Judge(queries, documents, reported, distractors) if reported else None
    report = progress or _silent
    report("preparing", 0, 3)
    begun = time.monotonic()
    before = measured(student, judge, beside)
    seconds = time.monotonic() - begun
    report("preparing", 1, 3)
    mined = _mined(student, learned, texts, (queries, documents), options)
    report("preparing", 2, 3)
    batches = Batches(learned, mined, options)
    anchors, watched = _anchors(student, reader, data, [texts.documents[row] for row in distractors], options)
    taught = _fixed(student, documents, learned, mined) if options.query_tower_only else documents
    report("preparing", 3, 3)
    lesson = Lesson(queries, taught, batches, anchors, judge.chosen)
    return Prepared(lesson, judge, beside, watched, before, seconds)


def _silent(name: str, done: int, total: int) -> None:
    """Report nothing."""


def _mined(
    student: Student,
    questions: Sequence[Question],
    texts: Texts,
    encoders: tuple[TowerEncoder, TowerEncoder],
    options: TuneOptions,
) -> list[NDArray[np.int64]]:
    """Hard negatives of the questions that need them; none for the others."""
    mined = [np.empty(0, dtype=np.int64) for _ in questions]
    places = needy(questions, options.negatives)
    if not places:
        return mined
    asking = [questions[place] for place in places]
    vectors = encoders[0].encode(student.towers.query, np.array([question.query for question in asking]))
    pool = encoders[1].encode(student.towers.document, texts.pool)
    for place, rows in zip(places, hard_negatives(asking, vectors, texts, pool, options.depth), strict=True):
        mined[place] = rows
    return mined


def _anchors(
    student: Student, reader: Reader, data: TuneData, unlabelled: Sequence[str], options: TuneOptions
) -> tuple[list[Anchor], Anchor]:
    """For each tower that is trained, the texts that hold it; and the texts that are watched, of the last one."""
    general = list(dict.fromkeys([*read_texts(), *data.general]))
    order = np.random.default_rng(options.seed).permutation(len(general))[:MOST_GENERAL]
    general = [general[place] for place in order]
    texts = [*general, *unlabelled]
    watched, held = np.arange(0, len(general), WATCHED), np.delete(np.arange(len(general)), np.s_[::WATCHED])
    held = np.concatenate([held, np.arange(len(general), len(texts))])
    sides: list[Side] = ["query"] if options.query_tower_only else ["document"]
    if not options.query_tower_only and student.towers.separate is not None:
        sides = ["query", "document"]
    anchors: list[Anchor] = []
    for side in sides:
        tower = student.towers.query if side == "query" else student.towers.document
        read = reader.read(side, texts)
        vectors = read.encode(tower, np.arange(len(texts)))
        anchors.append(Anchor(tower, read, held, vectors[held]))
    return anchors, Anchor(tower, read, watched, vectors[watched])


def _fixed(
    student: Student, documents: TowerEncoder, questions: Sequence[Question], mined: Sequence[NDArray[np.int64]]
) -> FixedVectors:
    """The vectors of all documents that training can ask for, by a tower that stays as it is."""
    rows = np.unique(np.concatenate([*(question.documents for question in questions), *mined]))
    return FixedVectors(rows, documents.encode(student.towers.document, rows))
