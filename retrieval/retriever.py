"""The retriever: an index and the model that it was encoded with, searched, updated and asked together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder
from ..errors import InvalidInputError
from ..index import AnnOptions, Candidates, Index, Stored
from .building import Builds
from .checks import as_ids, check_count
from .filters import condition_of, names_of, parse_filter
from .models import Model, check_space, load, model_of
from .payload import Payload, document_of, payload_of
from .records import Document, Hit, Query, Ranking, SearchOptions
from .rerank import Ranked, ranked_by_cosine, reranked

DEPTH = 100
"""Candidates that are reranked unless the caller says otherwise."""
QUERY_ROWS = 256
"""Queries encoded and answered at once: bounds memory, whatever the number of queries."""
_UNREAD = Payload("", "", {})


class Retriever(Builds):
    """Two-stage search over one index folder. Make one with ``build`` or ``open``; it is a context manager too.

    index: the folder, searched at its last commit, whoever made it.
    encoder: the model, whose vector space is the index's.
    last_report: what the last command of ``Builds`` or ``Updates`` changed by this retriever; None before any.
    """

    def __init__(self, index: Index, encoder: TwinEncoder) -> None:
        check_space(index, encoder)
        super().__init__(index, encoder)

    @classmethod
    def open(cls, path: str | Path, model: Model | None = None, *, threads: int = 1) -> Retriever:
        """Open an index with the model that it names, or with another one of the same vector space.

        threads: batches of texts that the model encodes at once; of no account where ``model`` is loaded already.

        Raises IndexNotFoundError, IndexUnfinishedError or IndexDamagedError, ModelError when the model cannot be
        loaded, and SpaceMismatchError when it answers in another vector space.
        """
        with ExitStack() as stack:
            index = stack.enter_context(Index.open(path))
            retriever = cls(index, load(model_of(index) if model is None else model, threads))
            stack.pop_all()
        return retriever

    def search(self, query: str, k: int = 10, options: SearchOptions | None = None) -> list[Hit]:
        """Answer one query with its ``k`` best documents, fewer where fewer are there; see ``search_many``."""
        return list(self.search_many([Query("1", query)], k, options)[0].hits)

    def search_many(
        self,
        queries: Sequence[Query | str],
        k: int = 10,
        options: SearchOptions | None = None,
        *,
        payloads: bool = True,
    ) -> list[Ranking]:
        """Answer queries, in their order.

        The index gives ``depth`` candidates by cosine; the model's head scores them from their cached vectors. A
        model without a head, or ``rerank=False``, gives the cosine's own order and scores.

        queries: a plain string gets its position, from 1, as its id.
        payloads: False leaves text, title and metadata of the hits empty, for judging rankings.

        Raises InvalidInputError for a blank query, ``k`` below 1 or a depth below ``k``; SpaceMismatchError when
        another process has meanwhile built the index with another model.
        """
        chosen = options or SearchOptions()
        k, depth = self._bounds(check_count(k, "k"), chosen)
        rankings: list[Ranking] = []
        asked = _as_queries(queries)
        for start in range(0, len(asked), QUERY_ROWS):
            some = asked[start : start + QUERY_ROWS]
            rankings += self._fetch(some, self._rank(some, k, depth, chosen), payloads)
        return rankings

    def candidates(
        self, query_vectors: NDArray[np.float32], k: int, options: SearchOptions | None = None
    ) -> Candidates:
        """The first stage alone: the ``k`` nearest documents by cosine.

        query_vectors: ``(n, dimension)`` float32 unit rows, from ``encoder.encode_queries``.
        Returns rows int64 and cosines float32, ``(n, k)``, padded with -1 and ``-inf``.
        """
        chosen = options or SearchOptions()
        where = None if chosen.filter is None else condition_of(parse_filter(chosen.filter))
        check_space(self.index, self.encoder)
        effort = AnnOptions(chosen.ef_search, chosen.exact, chosen.nprobe)
        found = self.index.search(query_vectors, k, effort, where)
        # Again, for the other process that replaced the index while it was searched.
        check_space(self.index, self.encoder)
        return found

    @property
    def filterable(self) -> tuple[str, ...]:
        """The fields that the index was built to filter by, as filters name them."""
        return names_of(self.index.options.filterable)

    def get(self, ids: Iterable[str]) -> list[Document | None]:
        """The documents of these ids, in their order; None for an id that is not there."""
        return [None if stored is None else document_of(stored) for stored in self.index.get(as_ids(ids))]

    def close(self) -> None:
        """Let go of the index's files."""
        self.index.close()

    def __len__(self) -> int:
        return len(self.index)

    def __enter__(self) -> Retriever:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _bounds(self, k: int, options: SearchOptions) -> tuple[int, int]:
        """Hits and candidates a query: never more than there are documents, whatever was asked for."""
        depth = max(DEPTH, k) if options.depth is None else options.depth
        if depth < k:
            raise InvalidInputError(
                f"depth {depth} is below k {k}: rerank at least as many candidates as are asked for"
            )
        most = max(len(self.index), 1)
        k = min(k, most)
        return k, min(depth, most) if options.rerank and self.encoder.has_head else k

    def _rank(self, queries: Sequence[Query], k: int, depth: int, options: SearchOptions) -> list[Ranked]:
        vectors = self.encoder.encode_queries([query.text for query in queries])
        candidates = self.candidates(vectors, depth, options)
        if not (options.rerank and self.encoder.has_head):
            return [ranked_by_cosine(candidates, place, k) for place in range(len(queries))]
        return [
            reranked(self.index, self.encoder, vector, ranked_by_cosine(candidates, place, depth), k)
            for place, vector in enumerate(vectors)
        ]

    def _fetch(self, queries: Sequence[Query], ranked: Sequence[Ranked], payloads: bool) -> Iterator[Ranking]:
        """Turn rows into hits; one query to the store for all of them."""
        stored = iter(self.index.stored(np.concatenate([one.rows for one in ranked])))
        for query, one in zip(queries, ranked, strict=True):
            hits = [
                _hit(next(stored), rank, score, payloads) for rank, score in enumerate(one.scores.tolist(), start=1)
            ]
            yield Ranking(query.id, tuple(hits))


def _hit(stored: Stored, rank: int, score: float, payloads: bool) -> Hit:
    payload = payload_of(stored) if payloads else _UNREAD
    return Hit(stored.id, rank, score, None, payload.text, payload.metadata, payload.title)


def _as_queries(queries: Sequence[Query | str]) -> list[Query]:
    if isinstance(queries, str):
        raise InvalidInputError("queries must be a list, not one string: use search, or put it in a list")
    return [
        query if isinstance(query, Query) else Query(str(place), query) for place, query in enumerate(queries, start=1)
    ]
