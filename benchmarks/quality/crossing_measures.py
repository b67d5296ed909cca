"""What a student's crossings are judged by: held-out scored pairs, judged sentences of questions, judged titles.

Every measure is taken of the cosine and of what is served by the same student, over the same pairs, with a bootstrap
interval of the difference.
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
Measure = Callable[[NDArray[np.int64]], tuple[float, float]]
SAMPLES = 1_000
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
    """A measure of the cosine and of what is served, and the bootstrap interval of the difference.

    units: groups or questions. measure: both values over some of them, named by their numbers, repeats allowed.
    """
    cosine, served = measure(np.arange(units))
    draw = np.random.default_rng(0)
    differences = [np.subtract(*measure(draw.integers(units, size=units))[::-1]) for _ in range(SAMPLES)]
    low, high = np.percentile(differences, [2.5, 97.5])
    return {"cosine": cosine, "served": served, "difference": served - cosine, "low": float(low), "high": float(high)}


def pair_measures(parts: Parts, share: float, labels: Floats, scores: Floats, size: int) -> dict[str, dict[str, float]]:
    """AUC and average precision of held-out pairs against structure and teacher; groups of ``size`` pairs."""
    both = np.stack([parts.cosine, parts.served(share)]).reshape(2, -1, size)
    truths = {"structure": labels, "teacher": (scores >= RELEVANT).astype(np.float64)}
    found = {}
    for name, truth in truths.items():
        rows = truth.reshape(-1, size)
        found[f"AUC, {name}"] = compared(len(rows), _of_pairs(both, rows, roc_auc))
        found[f"AP, {name}"] = compared(len(rows), _of_pairs(both, rows, _average_precision))
    return found


def _of_pairs(both: Floats, truth: Floats, measure: Callable[[Floats, Floats], float]) -> Measure:
    def measured(groups: NDArray[np.int64]) -> tuple[float, float]:
        own = truth[groups].ravel()
        return measure(own, both[0][groups].ravel()), measure(own, both[1][groups].ravel())

    return measured


def _average_precision(truth: Floats, scores: Floats) -> float:
    return mean_average_precision(np.zeros(len(truth), dtype=np.int64), truth, scores)


def question_measures(answers: Sequence[tuple[Floats, Floats, Floats]], *, auc: bool) -> dict[str, dict[str, float]]:
    """nDCG@10 of questions, and the AUC within each.

    answers: for each question its candidates' grades, the cosine's scores and the served ones. auc: all of them have
    candidates of both kinds.
    """
    values = {"nDCG@10": np.array([[ndcg(grades, one) for one in scores] for grades, *scores in answers])}
    if auc:
        values["query AUC"] = np.array(
            [[roc_auc((grades > 0).astype(int), one) for one in scores] for grades, *scores in answers]
        )
    return {name: compared(len(rows), _mean_of(rows)) for name, rows in values.items()}


def _mean_of(rows: Floats) -> Measure:
    def measured(units: NDArray[np.int64]) -> tuple[float, float]:
        cosine, served = rows[units].mean(axis=0)
        return float(cosine), float(served)

    return measured


def ndcg(grades: Floats, scores: Floats) -> float:
    """nDCG@10 of candidates by their scores."""
    discounts = 1 / np.log2(np.arange(CUT) + 2)
    ranked = grades[np.argsort(-scores, kind="stable")][:CUT]
    ideal = np.sort(grades)[::-1][:CUT]
    best = float((ideal * discounts[: len(ideal)]).sum())
    return float((ranked * discounts[: len(ranked)]).sum()) / best if best else 0.0
