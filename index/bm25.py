"""BM25 of documents by the terms that are kept beside their vectors, exactly, with the statistics of one commit.

Robertson and Zaragoza, Foundations and Trends in Information Retrieval 3(4), 2009, in the form of Lucene: no factor
k1 + 1, and an idf that is never negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .evidence import Entries
from .snapshot import Snapshot
from .statistics import Statistics

K1, B = 0.9, 0.4
_TABLE = 1 << 16


@dataclass(frozen=True, slots=True)
class QueryTerms:
    """The terms of one query, distinct, and how often it says each.

    terms: ``(q,)`` uint32. weights: ``(q,)`` float32.

    Raises InvalidInputError for arrays of another type or length, for a term that comes twice, for weights that are
    not finite.
    """

    terms: NDArray[np.uint32]
    weights: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, dtype in (("terms", np.uint32), ("weights", np.float32)):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != 1:
                raise InvalidInputError(f"query terms: {name} must be an array of {np.dtype(dtype)}, 1-d")
        if len(self.terms) != len(self.weights) or not np.isfinite(self.weights).all():
            raise InvalidInputError("query terms: every term needs its weight, a finite number")
        if len(np.unique(self.terms)) != len(self.terms):
            raise InvalidInputError("query terms: each term may come once, its weight says how often")


class Scorer:
    """Scores documents for one query at one commit.

    Raises InvalidInputError where the index keeps no evidence.
    """

    def __init__(self, snapshot: Snapshot, query: QueryTerms) -> None:
        self._snapshot = snapshot
        statistics = snapshot.statistics_of()
        order = np.argsort(query.terms)
        self.terms = query.terms[order]
        self.frequencies = statistics.frequencies(self.terms)
        self.worth = query.weights[order].astype(np.float64) * _idf(statistics, self.frequencies)
        """``(q,)`` what each term adds at most: its weight times its idf."""
        mean = max(statistics.length, 1) / max(statistics.documents, 1)
        self._norm = K1 * (1 - B), K1 * B / mean
        self._table = np.zeros(_TABLE, dtype=np.bool_)
        self._table[self.terms % _TABLE] = True

    def scores(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """BM25 of documents whose vectors are at ``(n,)`` positions, 0 where no term is; the same in any company."""
        stored, tail = self._snapshot.segment.evidence, self._snapshot.tail
        size = len(self._snapshot.segment.vectors)
        inside = positions < size
        if stored is None or tail.evidence is None:
            return np.zeros(len(positions))
        if inside.all():
            return self._scores(stored.entries, stored.lengths, positions)
        found = np.empty(len(positions))
        found[inside] = self._scores(stored.entries, stored.lengths, positions[inside])
        found[~inside] = self._scores(tail.evidence, tail.lengths, positions[~inside] - size)
        return found

    def norms(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """``(n,)`` what the count of a term is weighed against at each position, by the document's length."""
        stored, tail = self._snapshot.segment.evidence, self._snapshot.tail
        own = np.empty(0, dtype=np.int32) if stored is None else stored.lengths
        inside = positions < len(own)
        lengths = np.empty(len(positions))
        lengths[inside] = own[positions[inside]]
        lengths[~inside] = tail.lengths[positions[~inside] - len(own)]
        return self._norm[0] + self._norm[1] * lengths

    def _scores(
        self, entries: Entries, lengths: NDArray[np.int32], positions: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        starts, ends = entries.term_starts[positions], entries.term_starts[positions + 1]
        pieces = [entries.terms[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        if not pieces or not len(self.terms):
            return np.zeros(len(positions))
        said = np.concatenate(pieces)
        # Most terms are none of the query's: a look at their lower half tells that of nearly all of them.
        maybe = np.flatnonzero(self._table[said.astype(np.uint16)])
        which = np.minimum(np.searchsorted(self.terms, said[maybe]), len(self.terms) - 1)
        sure = self.terms[which] == said[maybe]
        maybe, which = maybe[sure], which[sure]
        before = np.cumsum(ends - starts)
        owners = np.searchsorted(before, maybe, side="right")
        times = entries.counts[maybe - before[owners] + ends[owners]].astype(np.float64)
        norms = self._norm[0] + self._norm[1] * lengths[positions[owners]]
        found: NDArray[np.float64] = np.bincount(
            owners, self.worth[which] * (times / (times + norms)), minlength=len(positions)
        ).astype(np.float64, copy=False)
        return found


def _idf(statistics: Statistics, frequencies: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.log1p((statistics.documents - frequencies + 0.5) / (frequencies + 0.5))
