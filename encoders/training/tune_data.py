"""What tuning reads: one's own collections with their labels, and general texts that must keep their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError
from .objective import RELEVANT

FEWEST_QUESTIONS = 10
"""With fewer questions there is nothing to hold apart and to choose by."""
FEWEST_APART = 8
"""Questions held apart however small their share: five are the fewest that can show a gain to be no accident."""


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A query and a document of a domain, by their places in it.

    label: 1 for relevant, 0 for judged not to be, None where nobody judged. score: a teacher's probability, or None.
    """

    query: int
    document: int
    label: float | None = None
    score: float | None = None

    @property
    def value(self) -> float:
        """The judgement, else the teacher's probability."""
        value = self.score if self.label is None else self.label
        if value is None:
            raise InvalidInputError("a pair has neither label nor score: judge it or score it")
        return value


@dataclass(frozen=True, slots=True)
class Domain:
    """One collection.

    queries, documents: texts; documents holds the whole collection, the judged ones among them.
    pairs: what is learned from. reported: pairs of other queries that are only measured, after all is chosen.

    Raises InvalidInputError where nothing can be learned from it.
    """

    name: str
    queries: Sequence[str]
    documents: Sequence[str]
    pairs: Sequence[LabelledPair]
    reported: Sequence[LabelledPair] = ()

    def __post_init__(self) -> None:
        questions = {pair.query for pair in self.pairs if pair.value >= RELEVANT}
        if len(questions) < FEWEST_QUESTIONS:
            raise InvalidInputError(
                f"{self.name} has {len(questions)} questions with a relevant document, tuning needs {FEWEST_QUESTIONS} "
                "at least: judge more of them"
            )
        if common := questions & {pair.query for pair in self.reported}:
            raise InvalidInputError(
                f"{self.name}: question {self.queries[min(common)]!r} is both to be trained on and to be reported: "
                "take it out of one split"
            )


@dataclass(frozen=True, slots=True)
class TuneData:
    """All that a run of tuning reads. general: texts of any kind, beside those that ship with the package."""

    domains: Sequence[Domain]
    general: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One query and what is known of some documents, as rows of ``Texts``.

    documents: ``(n,)`` int64 rows. labels, scores: ``(n,)`` float32, NaN where unknown. domain: its number.
    """

    query: int
    documents: NDArray[np.int64]
    labels: NDArray[np.float32]
    scores: NDArray[np.float32]
    domain: int

    @property
    def relevant(self) -> NDArray[np.bool_]:
        """Which documents are, ``(n,)``: by judgement, else by the teacher's probability."""
        relevant: NDArray[np.bool_] = np.where(np.isnan(self.labels), self.scores, self.labels) >= RELEVANT
        return relevant

    @property
    def mixed(self) -> bool:
        """Whether documents of both kinds are known."""
        return bool(self.relevant.any() and not self.relevant.all())


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """All domains' texts in a row: their queries, their labelled documents, and some others.

    pool: ``(n,)`` int64 rows of documents that were drawn from all, ascending.
    domains: ``(documents,)`` the domain of each document.
    """

    queries: list[str]
    documents: list[str]
    pool: NDArray[np.int64]
    domains: NDArray[np.int64]


def joined(domains: Sequence[Domain], pool: int, seed: int) -> tuple[Texts, list[Question], list[Question]]:
    """The domains' texts in a row, the questions to learn from, and those that are only reported.

    pool: documents to draw from all domains together. Questions of which nothing relevant is known are left out.
    """
    draw = np.random.default_rng(seed)
    total = sum(len(domain.documents) for domain in domains)
    texts = Texts([], [], np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    learned: list[Question] = []
    reported: list[Question] = []
    for number, domain in enumerate(domains):
        size = len(domain.documents)
        drawn = draw.permutation(size)[: -(-pool * size // total)]
        known = [pair.document for pair in (*domain.pairs, *domain.reported)]
        needed = np.union1d(np.array(known, dtype=np.int64), drawn)
        shift = len(texts.documents)
        places = np.full(size, -1, dtype=np.int64)
        places[needed] = np.arange(shift, shift + len(needed))
        learned += _questions(domain.pairs, len(texts.queries), places, number)
        reported += _questions(domain.reported, len(texts.queries), places, number)
        texts = Texts(
            [*texts.queries, *domain.queries],
            [*texts.documents, *(domain.documents[row] for row in needed)],
            np.concatenate([texts.pool, np.sort(places[drawn])]),
            np.concatenate([texts.domains, np.full(len(needed), number)]),
        )
    return texts, learned, reported


def _questions(pairs: Sequence[LabelledPair], shift: int, places: NDArray[np.int64], domain: int) -> list[Question]:
    by_query: dict[int, list[LabelledPair]] = {}
    for pair in pairs:
        by_query.setdefault(pair.query, []).append(pair)
    questions = [
        Question(
            query + shift,
            places[[pair.document for pair in own]],
            _known([pair.label for pair in own]),
            _known([pair.score for pair in own]),
            domain,
        )
        for query, own in by_query.items()
    ]
    return [question for question in questions if question.relevant.any()]


def _known(values: list[float | None]) -> NDArray[np.float32]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float32)


def held_apart(questions: Sequence[Question], share: float, seed: int) -> tuple[list[Question], list[Question]]:
    """Questions to train on, and a ``share`` of each domain's to choose by: at least ``FEWEST_APART``, at most half."""
    draw = np.random.default_rng(seed)
    apart: set[int] = set()
    for domain in {question.domain for question in questions}:
        own = [place for place, question in enumerate(questions) if question.domain == domain]
        count = min(len(own) // 2, max(FEWEST_APART, round(share * len(own))))
        apart.update(draw.permutation(own)[:count].tolist())
    return (
        [question for place, question in enumerate(questions) if place not in apart],
        [questions[place] for place in sorted(apart)],
    )
