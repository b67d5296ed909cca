"""Training pairs mined with an index: beside what was judged, documents that its model ranks high, and random ones.

Nobody judged those, so as negatives they are a guess, and some do match. Each pair says where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from ..index import Stored
from .payload import document_of
from .plan import Progress
from .records import Query, SearchOptions
from .rerank import DENSE, Ranked
from .retriever import QUERY_ROWS, Retriever

Origin = Literal["judged", "mined", "random"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MiningOptions:
    """Which negatives each query gets.

    depth: ranks by cosine that hard negatives are drawn from; skip: first ranks left out, where documents that match
    but were not judged gather. per_query: hard negatives drawn; random: negatives drawn from the whole index.
    margin: a hard negative's cosine lies at least so far below that of the query's best positive; None for no bound.
    exact: look at every vector. seed: with the query's id it decides every draw.

    Raises InvalidInputError for numbers that leave nothing to draw from.
    """

    depth: int = 100
    skip: int = 0
    per_query: int = 4
    random: int = 0
    margin: float | None = None
    exact: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.skip, self.per_query, self.random) < 0 or self.per_query + self.random < 1:
            raise InvalidInputError(
                "ask for one negative a query at least, mined or random, and skip no less than 0 ranks"
            )
        if self.depth <= self.skip:
            raise InvalidInputError(f"depth {self.depth} leaves no rank after the {self.skip} skipped: look deeper")


@dataclass(frozen=True, slots=True)
class MinedPair:
    """A query beside a document.

    label: 1 for a match, else 0. origin: ``judged``, or ``mined`` and ``random``, which nobody judged.
    rank, cosine: of a mined one in its query's ranking.
    """

    query_id: str
    document_id: str
    query: str
    document: str
    label: int
    origin: Origin
    rank: int | None = None
    cosine: float | None = None


def mine_pairs(
    retriever: Retriever,
    queries: Sequence[Query],
    judgements: Mapping[str, Mapping[str, int]],
    options: MiningOptions | None = None,
    progress: Progress | None = None,
) -> Iterator[MinedPair]:
    """Give what was judged of each query that has a match, then its negatives, mined ones by rank.

    queries: in the order in which they are answered; without a match they are left out.
    judgements: query id → {document id → grade}; above 0 matches.
    progress: told ``(done, total)`` in queries.

    Raises InvalidInputError for a judgement of a query that is not there, or of a document that the index lacks.
    """
    chosen = options or MiningOptions()
    _require_known(queries, judgements)
    asked = [query for query in queries if any(grade > 0 for grade in judgements.get(query.id, {}).values())]
    ids = np.array(list(retriever.index.ids()), dtype=object) if chosen.random else np.empty(0, dtype=object)
    for start in range(0, len(asked), QUERY_ROWS):
        some = asked[start : start + QUERY_ROWS]
        vectors = retriever.encoder.encode_queries([query.text for query in some])
        depth = min(chosen.depth, max(len(retriever.index), 1))
        found = retriever.candidates(vectors, depth, SearchOptions(rerank=False, exact=chosen.exact))
        for place, query in enumerate(some):
            miner = _Miner(retriever, query, judgements[query.id], chosen)
            yield from miner.pairs(vectors[place], Ranked.of(found, place, DENSE), ids)
            if progress:
                progress(start + place + 1, len(asked))


def _require_known(queries: Sequence[Query], judgements: Mapping[str, Mapping[str, int]]) -> None:
    unknown = set(judgements) - {query.id for query in queries}
    if unknown:
        raise InvalidInputError(
            f"query {min(unknown)!r} is judged but not among the queries: name the file that has it"
        )


@dataclass(frozen=True, slots=True)
class _Miner:
    """One query's pairs. grades: its judgements."""

    retriever: Retriever
    query: Query
    grades: Mapping[str, int]
    options: MiningOptions

    def pairs(self, vector: NDArray[np.float32], found: Ranked, ids: NDArray[np.object_]) -> Iterator[MinedPair]:
        """vector: the query's. found: its ranking. ids: all of the index, where random negatives are asked for."""
        judged = self._stored(list(self.grades))
        yield from (self._pair(stored, int(self.grades[stored.id] > 0), "judged") for stored in judged)
        draw = np.random.default_rng([self.options.seed, *blake2b(self.query.id.encode(), digest_size=16).digest()])
        taken = set(self.grades)
        for rank, score, stored in self._mined(vector, found, judged, draw):
            taken.add(stored.id)
            yield self._pair(stored, 0, "mined", rank, score)
        names = [
            name for name in draw.permutation(ids)[: self.options.random + len(taken)].tolist() if name not in taken
        ]
        yield from (self._pair(stored, 0, "random") for stored in self._stored(names[: self.options.random]))

    def _mined(
        self, vector: NDArray[np.float32], found: Ranked, judged: list[Stored], draw: np.random.Generator
    ) -> Iterator[tuple[int, float, Stored]]:
        """Rank, cosine and document of the hard negatives, by rank."""
        index = self.retriever.index
        wanted = ~np.isin(found.rows, [stored.row for stored in judged])
        wanted[: self.options.skip] = False
        if self.options.margin is not None:
            matches = [stored.row for stored in judged if self.grades[stored.id] > 0]
            best = float((index.vectors(matches) @ vector).max())
            wanted &= found.scores <= best - self.options.margin
        places = np.flatnonzero(wanted)
        drawn = np.sort(draw.permutation(places)[: self.options.per_query])
        for place, stored in zip(drawn.tolist(), index.stored(found.rows[drawn]), strict=True):
            yield place + 1, float(found.scores[place]), stored

    def _stored(self, names: list[str]) -> list[Stored]:
        stored = self.retriever.index.get(names)
        for name, one in zip(names, stored, strict=True):
            if one is None:
                message = f"document {name!r}, judged for query {self.query.id!r}, is not in the index: index it first"
                raise InvalidInputError(message)
        return [one for one in stored if one is not None]

    def _pair(
        self, stored: Stored, label: int, origin: Origin, rank: int | None = None, cosine: float | None = None
    ) -> MinedPair:
        text = document_of(stored).full_text
        return MinedPair(self.query.id, stored.id, self.query.text, text, label, origin, rank, cosine)
