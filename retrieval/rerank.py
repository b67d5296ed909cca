"""The second stage: a query's candidates scored from their cached vectors, put in order, cut to k."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder
from ..index import Candidates, Index


@dataclass(frozen=True, slots=True)
class Ranked:
    """One query's documents, best first.

    rows: ``(n,)`` int64 row numbers. scores: ``(n,)`` float32, higher is better.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def ranked_by_cosine(candidates: Candidates, place: int, k: int) -> Ranked:
    """The first ``k`` candidates of the query at ``place``, as the index ordered them."""
    there = candidates.rows[place] >= 0
    return Ranked(candidates.rows[place][there][:k], candidates.scores[place][there][:k])


def reranked(index: Index, encoder: TwinEncoder, query: NDArray[np.float32], found: Ranked, k: int) -> Ranked:
    """Score one query's candidates with the model's head and keep the best ``k``.

    query: ``(dim,)`` float32 unit vector.
    found: the candidates with their cosines, equal cosines by id, descending.

    Equal scores are ordered by id, descending, before the cut. Neither text nor ids are read, but for the ids of
    equal scores.
    """
    if not len(found.rows):
        return found
    scores = _scores(index, encoder, query, found)
    order = np.argsort(-scores, kind="stable")
    best = _ties_by_id(index, Ranked(found.rows[order], scores[order]), k)
    return Ranked(best.rows[:k], best.scores[:k])


def _scores(index: Index, encoder: TwinEncoder, query: NDArray[np.float32], found: Ranked) -> NDArray[np.float32]:
    vectors = index.vectors(found.rows)
    if len(np.unique(found.scores)) == len(found.scores):
        return encoder.score(query, vectors)
    # BLAS may round equal rows apart by where they stand: a vector that several documents share is scored once.
    distinct, places = np.unique(vectors, axis=0, return_inverse=True)
    return encoder.score(query, distinct)[places.reshape(-1)]


def _ties_by_id(index: Index, ranked: Ranked, k: int) -> Ranked:
    equal = ranked.scores[1:] == ranked.scores[:-1]
    tied = np.append(equal, False) | np.append(False, equal)
    tied &= ranked.scores >= ranked.scores[min(k, len(ranked.scores)) - 1]
    if not tied.any():
        return ranked
    ids = {stored.row: stored.id for stored in index.stored(ranked.rows[tied])}
    keys = [(score, ids.get(row, "")) for row, score in zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)
    return Ranked(ranked.rows[order], ranked.scores[order])
