"""Finds what may be answered among what may not, through an index that does not know the difference.

The plan is to look at the nearest of all and keep those that may be answered, so far out that enough of them are
expected; further out where fewer are found around this query than there are overall; until scoring all that may be
answered is the cheaper way. Where enough are found, none nearer was left out, but for what the index itself misses. A
selector inside the search of an HNSW graph gives no such sign: its recall falls where what matches lies far from the
query (docs/decisions/0012-filters.md has the figures).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ann import Ann, Selector
from .keys import Kind

_DEVIATIONS = 3
"""How many standard deviations more than wanted are expected, so that a second look is seldom needed."""
_VISIT_COST = 10
"""Vectors scored exactly in the time in which a graph examines one candidate."""
_HARDEST = 0.5
"""Down to this share a graph is asked to look as much harder as fewer may be answered; below, further out is enough."""
_SCAN_COST = 0.25
"""The same for one vector of an inverted list."""
_AT_ONCE = 1 << 20
"""Neighbours held in memory at once, of all queries together."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to look: ``nearest`` neighbours, whatever they are, with so many ``visits``."""

    nearest: int
    visits: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one search.

    ann, selector: the index, and what of it may be answered.
    wanted: nodes wanted of that. visits, tuned: an effort, and for how many neighbours it is enough.
    """

    ann: Ann
    selector: Selector
    wanted: int
    visits: int
    tuned: int

    def reach(self, share: float) -> Reach | None:
        """How far to look where this share may be answered; None where scoring all that may be is cheaper."""
        expected = self.wanted + _DEVIATIONS * math.sqrt(self.wanted)
        nearest = min(len(self.ann.twins), math.ceil(expected / share))
        if self.ann.family.kind is Kind.HNSW:
            visits = max(math.ceil(self.visits / max(share, _HARDEST)), nearest)
            cost = float(_VISIT_COST * visits)
        else:
            visits = min(self.ann.family.lists, math.ceil(self.visits * max(1, nearest / self.tuned)))
            cost = _SCAN_COST * len(self.ann.twins) * visits / self.ann.family.lists
        return None if self.selector.count < cost else Reach(nearest, visits)

    def nodes(self, queries: NDArray[np.float32], reach: Reach) -> list[NDArray[np.int64]]:
        """Nodes that may be answered, nearest first, up to ``wanted`` of them; fewer where exact search is due.

        queries: ``(n_queries, dim)`` float32 unit rows.
        """
        rows = max(1, _AT_ONCE // reach.nearest)
        found: list[NDArray[np.int64]] = []
        for start in range(0, len(queries), rows):
            nodes, _ = self.ann.search(queries[start : start + rows], reach.nearest, reach.visits)
            found += [self.selector.among(row) for row in nodes]
        for place, row in enumerate(found):
            if len(row) < self.wanted:
                found[place] = self._further(queries[place : place + 1], len(row) / reach.nearest, row)
        return [row[: self.wanted] for row in found]

    def _further(self, query: NDArray[np.float32], share: float, found: NDArray[np.int64]) -> NDArray[np.int64]:
        reach = self.reach(share) if share > 0 else None
        if reach is None:
            return found
        nodes, _ = self.ann.search(query, reach.nearest, reach.visits)
        return self.selector.among(nodes[0])
