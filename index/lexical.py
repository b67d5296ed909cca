"""Candidates by their terms: vectors that hold a query's rarer ones, from ``words``, scored by BM25 with all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexFolderError, InvalidInputError
from .bm25 import QueryTerms, Scorer
from .layout import Layout
from .readonly import ReadConnection
from .records import Candidates
from .search import IdsOf, Scored, rank
from .snapshot import Snapshot
from .store import current_commit
from .words import holding, is_lexical

BUDGET = 50_000
"""Documents that the terms looked up may sum up to: the rarest terms first, the very rarest in any case."""
EXACT, FIRST = 5_000, 2_000
"""Where more than so many match, so many are scored: those that would be best if each of their terms came once."""


class Lexical:
    """Searches the last commit on a connection of its own; safe to share between threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._asking = threading.Lock()
        self._store: ReadConnection | None = None

    def search(
        self, current: Callable[[], Snapshot], queries: Sequence[QueryTerms], k: int, ids_of: IdsOf
    ) -> Candidates:
        """The ``k`` best documents for each query. current: gives the snapshot of the last commit, narrowed or not.

        Raises InvalidInputError for an index without such a table, IndexFolderError where it was replaced.
        """
        before: Snapshot | None = None
        while (snapshot := current()) is not before:
            if not is_lexical(snapshot.commit):
                raise InvalidInputError(
                    "this index is not lexical: build it again with evidence and the option lexical"
                )
            scorers = [Scorer(snapshot, query) for query in queries]
            chosen = [_rarest(scorer.frequencies) for scorer in scorers]
            terms = [scorer.terms[places] for scorer, places in zip(scorers, chosen, strict=True)]
            lists = self._holding(snapshot, terms)
            if lists is not None:
                found = zip(scorers, chosen, lists, strict=True)
                return _joined([_best(snapshot, *one, k, ids_of) for one in found], k)
            before = snapshot
        raise IndexFolderError(f"{self._layout.folder} was replaced by another index: open it again")

    def close(self) -> None:
        """Let go of the store."""
        with self._asking:
            if self._store is not None:
                self._store.close()

    def _holding(
        self, snapshot: Snapshot, queries: Sequence[NDArray[np.uint32]]
    ) -> list[list[NDArray[np.int64]]] | None:
        """For each query, for each of its terms, the numbers of vectors; None once there is another commit."""

        def ask(connection: apsw.Connection) -> list[list[NDArray[np.int64]]] | None:
            connection.execute("BEGIN")
            try:
                if current_commit(connection) != snapshot.commit:
                    return None
                return [holding(connection, terms.tolist()) for terms in queries]
            finally:
                connection.execute("ROLLBACK")

        with self._asking:
            if self._store is None:
                self._store = ReadConnection(self._layout)
            return self._store.read(ask)


def _rarest(frequencies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the terms to look up: from the rarest on, while they fit the budget."""
    order = np.argsort(frequencies, kind="stable")
    order = order[frequencies[order] > 0]
    return order[: max(1, int(np.searchsorted(np.cumsum(frequencies[order]), BUDGET, side="right")))]


def _best(
    snapshot: Snapshot,
    scorer: Scorer,
    chosen: NDArray[np.int64],
    lists: Sequence[NDArray[np.int64]],
    k: int,
    ids_of: IdsOf,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    positions, sums = _matching(snapshot, lists, scorer.worth[chosen])
    if len(positions) > max(EXACT, k):
        # As if each term came once: what a list tells without a look at the document.
        likely = sums / (1 + scorer.norms(positions))
        positions = np.sort(positions[np.argpartition(-likely, max(FIRST, k) - 1)[: max(FIRST, k)]])
    return rank(snapshot, Scored(positions, scorer.scores(positions)), k, ids_of)


def _matching(
    snapshot: Snapshot, lists: Sequence[NDArray[np.int64]], worth: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions of living vectors in any of the lists, ascending, and the sum of what the lists they are in are worth.

    lists: numbers of vectors, ``(m,)`` int64 each. worth: ``(l,)`` what each list is worth.
    """
    size = len(snapshot.alive)
    sums, matching = np.zeros(size), np.zeros(size, dtype=np.bool_)
    for numbers, value in zip(lists, worth.tolist(), strict=True):
        positions = snapshot.positions_of(numbers)
        positions = positions[positions >= 0]
        sums[positions] += value  # a list holds each vector once
        matching[positions] = True
    living = np.flatnonzero(matching & snapshot.alive)
    return living, sums[living]


def _joined(found: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int) -> Candidates:
    rows = np.full((len(found), k), -1, dtype=np.int64)
    scores = np.full((len(found), k), -np.inf, dtype=np.float32)
    for place, (best, best_scores) in enumerate(found):
        rows[place, : len(best)], scores[place, : len(best)] = best, best_scores
    return Candidates(rows, scores)
