"""The retriever: an index and the model that it was encoded with, searched, updated and asked together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder, Weights
from ..errors import InvalidInputError
from ..index import Candidates, Index
from .building import Builds
from .checks import as_ids, check_count
from .filters import names_of
from .hits import Hits
from .models import Model, check_space, load, model_of
from .payload import document_of
from .records import Document, Hit, Query, Ranking, SearchOptions
from .stages import DEPTH, Stages, dense_candidates

QUERY_ROWS = 256
"""Queries encoded and answered at once: bounds memory, whatever the number of queries."""


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

        The index gives ``depth`` candidates by cosine, by the query's words, or of each; they are scored from what is
        cached beside them, see ``Weights``. ``rerank=False`` gives the candidates' own order and scores.

        queries: a plain string gets its position, from 1, as its id.
        payloads: False leaves text, title and metadata of the hits empty, for judging rankings.

        Raises InvalidInputError for a blank query, ``k`` below 1, a depth below ``k``, and for lexical candidates or
        weights that the index or the model has nothing for; SpaceMismatchError when another process has meanwhile built
        the index with another model.
        """
        chosen = options or SearchOptions()
        k, depth = self._bounds(check_count(k, "k"), chosen)
        stages = Stages(self.index, self.encoder, chosen, k, depth)
        hits = Hits(self.index, stages.maker, payloads=payloads, explained=chosen.explain)
        rankings: list[Ranking] = []
        asked = _as_queries(queries)
        for start in range(0, len(asked), QUERY_ROWS):
            some = asked[start : start + QUERY_ROWS]
            rankings += hits.of(some, stages.ranked(some))
        return rankings

    def candidates(
        self, query_vectors: NDArray[np.float32], k: int, options: SearchOptions | None = None
    ) -> Candidates:
        """The first stage alone: the ``k`` nearest documents by cosine.

        query_vectors: ``(n, dimension)`` float32 unit rows, from ``encoder.encode_queries``.
        Returns rows int64 and cosines float32, ``(n, k)``, padded with -1 and ``-inf``.
        """
        return dense_candidates(self.index, self.encoder, query_vectors, k, options or SearchOptions())

    @property
    def weights(self) -> Weights:
        """What a candidate's score is made of: the model's weights, of the parts that the index keeps something for."""
        return Stages(self.index, self.encoder, SearchOptions(), 1, 1).weights

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
        return min(k, most), min(depth, most)


def _as_queries(queries: Sequence[Query | str]) -> list[Query]:
    if isinstance(queries, str):
        raise InvalidInputError("queries must be a list, not one string: use search, or put it in a list")
    return [
        query if isinstance(query, Query) else Query(str(place), query) for place, query in enumerate(queries, start=1)
    ]
