"""A small judged world, its figures worked out by hand, shared by the tests of this folder."""

import math

from twinbert.retrieval import Hit, Ranking

QRELS = {
    "q1": {"d1": 3, "d2": 1, "d3": 0, "d4": -1},  # ideal order: d1, d2
    "q2": {"d5": 1, "d6": 1},
    "q3": {"d1": 2},  # nothing is answered
    "q4": {"d9": 0},  # judged, and nothing is right
}
RANKINGS = {"q1": ["d3", "d2", "d4", "d1"], "q2": ["d6", "d7"], "q4": ["d9"], "q5": ["d1"]}


def log2(value: float) -> float:
    return math.log(value) / math.log(2)


NDCG_Q1 = (1 / log2(3) + 3 / log2(5)) / (3 / log2(2) + 1 / log2(3))
"""trec_eval's form (Järvelin and Kekäläinen 2002): the grade itself over log2(rank + 1)."""
NDCG_Q2 = (1 / log2(2)) / (1 / log2(2) + 1 / log2(3))

EXPECTED = {
    "q1": {"nDCG@10": NDCG_Q1, "R@10": 1.0, "RR@10": 1 / 2, "R@2": 1 / 2},
    "q2": {"nDCG@10": NDCG_Q2, "R@10": 1 / 2, "RR@10": 1.0, "R@2": 1 / 2},
    "q3": {"nDCG@10": 0.0, "R@10": 0.0, "RR@10": 0.0, "R@2": 0.0},
    "q4": {"nDCG@10": 0.0, "R@10": 0.0, "RR@10": 0.0, "R@2": 0.0},
}
MEANS = {"nDCG@10": (NDCG_Q1 + NDCG_Q2) / 4, "R@10": 1.5 / 4, "RR@10": 1.5 / 4, "R@2": 1 / 4}


def ranking(query: str, scored: list[tuple[str, float]]) -> Ranking:
    hits = [Hit(name, rank, score, None, "", {}) for rank, (name, score) in enumerate(scored, start=1)]
    return Ranking(query, tuple(hits))


def falling(query: str, names: list[str]) -> Ranking:
    return ranking(query, [(name, 1.0 - place / 10) for place, name in enumerate(names)])
