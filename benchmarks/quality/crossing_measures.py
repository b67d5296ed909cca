"""What a student's crossings are judged by: held-out scored pairs, judged sentences of questions, judged titles.

Every measure is taken of the cosine, of what is served with the chosen share of the head, and with the whole head, of
the same student over the same pairs, with bootstrap intervals of the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from twinbert.encoders.training.data import EncodedTexts, encode_texts, pad
from twinbert.encoders.training.measures import mean_average_precision, roc_auc
from twinbert.encoders.training.student import Student

Floats = NDArray[np.float64]
Measure = Callable[[NDArray[np.int64]], Floats]
"""The cosine's, the served and the whole head's value over some units, which are named by number, repeats allowed."""
SAMPLES = 500
ENCODED_TOGETHER = 64
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
RELEVANT = 0.5
CUT = 10


@dataclass(frozen=True)
class Parts:
    """The parts of the score of some pairs, ``(n,)`` each: the cosine crossing's logit, and what the head adds.

    pure: the head's logit is the score by itself.
    """

    cosine: Floats
    head: Floats
    pure: bool

    def served(self, share: float) -> Floats:
        """The served score: ``cosine + share · head``, or the head alone."""
        return self.head if self.pure else self.cosine + share * self.head

    def three(self, share: float) -> Floats:
        """The cosine's scores, the served ones, and those with the whole head, ``(3, n)``."""
        return np.stack([self.cosine, self.served(share), self.served(1.0)])

    def some(self, places: slice | NDArray[np.int64]) -> Parts:
        """The parts of some pairs."""
        return Parts(self.cosine[places], self.head[places], self.pure)


class Scorer:
    """Scores texts with a student; texts are encoded once.

    student: in evaluation mode. tokenizers: by side.
    """

    def __init__(self, student: Student, tokenizers: dict[str, Any]) -> None:
        self.student, self.tokenizers = student, tokenizers
        config = student.towers.config.crossing
        self.pure = config is not None and not config.cosine

    def vectors(self, side: str, texts: Sequence[str]) -> torch.Tensor:
        """Unit rows of texts, ``(n, dimension)`` float32."""
        encoded: EncodedTexts = encode_texts(self.tokenizers[side], texts, None)
        tower = self.student.towers.query if side == "query" else self.student.towers.document
        found = torch.empty(len(texts), self.student.towers.config.tower.dimension)
        order = np.argsort(encoded.lengths, kind="stable")
        for start in range(0, len(texts), ENCODED_TOGETHER):
            rows = order[start : start + ENCODED_TOGETHER]
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                found[rows] = tower(*pad(encoded, rows)).float()
        return found

    def parts(self, queries: torch.Tensor, documents: torch.Tensor) -> tuple[Floats, Floats]:
        """Both parts for every query with every document, ``(queries, documents)`` each."""
        with torch.inference_mode():
            cosine = self.student.cosine(queries, documents)
            head = torch.zeros_like(cosine) if self.student.head is None else self.student.head(queries, documents)
        return cosine.double().numpy(), head.double().numpy()

    def groups(self, groups: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Parts:
        """Pairs of groups of queries and documents, each query with each document of its group, group by group."""
        queries = self.vectors("query", [query for group in groups for query in group[0]])
        documents = self.vectors("document", [document for group in groups for document in group[1]])
        found, row, column = [], 0, 0
        for asked, answers in groups:
            found.append(self.parts(queries[row : row + len(asked)], documents[column : column + len(answers)]))
            row, column = row + len(asked), column + len(answers)
        return Parts(*(np.concatenate([part[side].ravel() for part in found]) for side in (0, 1)), self.pure)


def chosen_share(parts: Parts, scores: Floats) -> float:
    """The share of the head with the best AUC against the teacher's judgement; of equal ones the smallest."""
    relevant = (scores >= RELEVANT).astype(np.float64)
    return SHARES[int(np.argmax([roc_auc(relevant, parts.served(share)) for share in SHARES]))]


def compared(units: int, measure: Measure) -> dict[str, float]:
    """A measure of the cosine and of what is served, and the bootstrap intervals of the differences.

    units: how many groups or questions there are.
    """
    cosine, served, whole = measure(np.arange(units))
    draw = np.random.default_rng(0)
    drawn = np.stack([measure(draw.integers(units, size=units)) for _ in range(SAMPLES)])
    found = {"cosine": float(cosine), "served": float(served), "whole": float(whole)}
    for column, name in enumerate(("", "whole "), start=1):
        low, high = np.percentile(drawn[:, column] - drawn[:, 0], [2.5, 97.5])
        found |= {f"{name}difference": float((served, whole)[column - 1] - cosine)}
        found |= {f"{name}low": float(low), f"{name}high": float(high)}
    return found


def pair_measures(parts: Parts, share: float, labels: Floats, scores: Floats, size: int) -> dict[str, dict[str, float]]:
    """AUC and average precision of held-out pairs against structure and teacher; groups of ``size`` pairs."""
    three = parts.three(share).reshape(3, -1, size)
    truths = {"structure": labels, "teacher": (scores >= RELEVANT).astype(np.float64)}
    found = {}
    for name, truth in truths.items():
        rows = truth.reshape(-1, size)
        found[f"AUC, {name}"] = compared(len(rows), _of_pairs(three, rows, roc_auc))
        found[f"AP, {name}"] = compared(len(rows), _of_pairs(three, rows, _average_precision))
    return found


def _of_pairs(three: Floats, truth: Floats, measure: Callable[[Floats, Floats], float]) -> Measure:
    def measured(groups: NDArray[np.int64]) -> Floats:
        own = truth[groups].ravel()
        return np.array([measure(own, scores[groups].ravel()) for scores in three])

    return measured


def _average_precision(truth: Floats, scores: Floats) -> float:
    return mean_average_precision(np.zeros(len(truth), dtype=np.int64), truth, scores)


def question_measures(answers: Sequence[tuple[Floats, Floats]], *, auc: bool) -> dict[str, dict[str, float]]:
    """nDCG@10 of questions, and the AUC within each.

    answers: for each question its candidates' grades ``(n,)`` and their three scores ``(3, n)``. auc: all questions
    have candidates of both kinds.
    """
    values = {"nDCG@10": np.array([[ndcg(grades, one) for one in three] for grades, three in answers])}
    if auc:
        values["query AUC"] = np.array(
            [[roc_auc((grades > 0).astype(int), one) for one in three] for grades, three in answers]
        )
    return {name: compared(len(rows), _mean_of(rows)) for name, rows in values.items()}


def _mean_of(rows: Floats) -> Measure:
    return lambda units: rows[units].mean(axis=0)


def ndcg(grades: Floats, scores: Floats) -> float:
    """nDCG@10 of candidates by their scores."""
    discounts = 1 / np.log2(np.arange(CUT) + 2)
    ranked = grades[np.argsort(-scores, kind="stable")][:CUT]
    ideal = np.sort(grades)[::-1][:CUT]
    best = float((ideal * discounts[: len(ideal)]).sum())
    return float((ranked * discounts[: len(ranked)]).sum()) / best if best else 0.0
