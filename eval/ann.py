"""How much of the exact answer the approximate index finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..index import Candidates


def k_recall(exact: Candidates, found: Candidates) -> NDArray[np.float64]:
    """``k-recall@k`` of each query: the share of the exact best k that was found among k, ``(n_queries,)`` in [0, 1].

    exact, found: ``(n_queries, k)`` each, with the true scores, as ``Index.search`` gives them either way.

    A document found counts when it is among the exact k, or when its score equals that of the last of them: it
    could stand there as well. Where fewer than k documents exist, k is their number; without any, recall is 1.
    (``faiss.contrib.evaluation.knn_intersection_measure`` compares row numbers alone, so ties cost it recall.)
    """
    there = exact.rows >= 0
    last = np.where(there, exact.scores, np.inf).min(axis=1, keepdims=True, initial=np.inf)
    among = (found.rows[:, :, None] == exact.rows[:, None, :]).any(axis=2)
    hits = (found.rows >= 0) & (among | (found.scores >= last))
    counts = there.sum(axis=1)
    recall: NDArray[np.float64] = np.where(counts > 0, hits.sum(axis=1) / np.maximum(counts, 1), 1.0)
    return recall
