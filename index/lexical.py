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
FIRST = 2_000
"""Documents scored at first, those that could score highest; more only where they still could."""
_ROUNDING = 1e-6


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
    worth = np.maximum(scorer.worth, 0)
    positions, bounds = _matching(snapshot, lists, worth[chosen])
    bounds += worth.sum() - worth[chosen].sum()
    order = np.argsort(-bounds, kind="stable")
    scores, floor, done = np.empty(0), -np.inf, 0
    while done < len(order) and bounds[order[done]] >= floor:
        some = positions[order[done : max(2 * done, FIRST)]]
        scores = np.append(scores, scorer.scores(some))
        done = len(scores)
        if done >= k:
            floor = float(np.partition(scores, -k)[-k]) * (1 - _ROUNDING)
    return rank(snapshot, Scored(positions[order[:done]], scores), k, ids_of)


def _matching(
    snapshot: Snapshot, lists: Sequence[NDArray[np.int64]], worth: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions of living vectors in any of the lists, and the sum of what the lists that they are in are worth."""
    numbers = np.concatenate([np.empty(0, dtype=np.int64), *lists])
    each = np.repeat(worth, [len(one) for one in lists])
    positions = snapshot.positions_of(numbers)
    there = positions >= 0
    there[there] = snapshot.alive[positions[there]]
    distinct, which = np.unique(positions[there], return_inverse=True)
    bounds: NDArray[np.float64] = np.bincount(which, each[there], minlength=len(distinct)).astype(np.float64)
    return distinct, bounds


def _joined(found: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], k: int) -> Candidates:
    rows = np.full((len(found), k), -1, dtype=np.int64)
    scores = np.full((len(found), k), -np.inf, dtype=np.float32)
    for place, (best, best_scores) in enumerate(found):
        rows[place, : len(best)], scores[place, : len(best)] = best, best_scores
    return Candidates(rows, scores)
