"""A query's way: encoded once, candidates from the index by vector and by word, the rerank from what is cached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder, Weights
from ..index import AnnOptions, Candidates, Condition, Index
from .evidence import maker_of
from .filters import condition_of, parse_filter
from .models import check_space
from .records import Query, SearchOptions
from .rerank import DENSE, LEXICAL, NOTHING, Ranked, Reranker

DEPTH = 100
"""Candidates of each kind that are reranked unless the caller says otherwise."""
UNFAMILIAR = 0.3
"""Share of a query's words that the model knows in pieces only from which ``auto`` looks up its words too."""


def dense_candidates(
    index: Index, encoder: TwinEncoder, vectors: NDArray[np.float32], k: int, options: SearchOptions
) -> Candidates:
    """The ``k`` nearest documents by cosine; see ``Retriever.candidates``."""
    check_space(index, encoder)
    effort = AnnOptions(options.ef_search, options.exact, options.nprobe)
    found = index.search(vectors, k, effort, _condition(options))
    # Again, for the other process that replaced the index while it was searched.
    check_space(index, encoder)
    return found


class Stages:
    """How one call of ``Retriever.search_many`` ranks; the index is what it was when this was made, or asked anew.

    k: hits a query. depth: candidates of each kind that are reranked. maker: makes of queries what the index keeps of
        documents; None where it keeps nothing.

    Raises InvalidInputError for weights that the index or the model has nothing for.
    """

    def __init__(self, index: Index, encoder: TwinEncoder, options: SearchOptions, k: int, depth: int) -> None:
        self._index, self._encoder, self._options = index, encoder, options
        self.maker = maker_of(index.schema)
        self._reranker = Reranker(index, encoder, self.maker, options.weights, thorough=options.explain)
        self._looks_up_words = self._reranker.weights.lexical > 0 and index.options.lexical
        self._reranks = options.rerank and (self._reranker.changes_order or options.candidates in ("lexical", "both"))
        self._k, self._depth = k, depth if self._reranks else k

    @property
    def weights(self) -> Weights:
        """What a candidate's score is made of."""
        return self._reranker.weights

    def ranked(self, queries: Sequence[Query]) -> list[Ranked]:
        """The best ``k`` documents of each query, in their order."""
        vectors = self._encoder.encode_queries([query.text for query in queries])
        pools = self._pools(queries, vectors)
        if not self._reranks:
            return pools
        return [
            self._reranker.best(self._reranker.question(query.text, vector), pool, self._k)
            for query, vector, pool in zip(queries, vectors, pools, strict=True)
        ]

    def _pools(self, queries: Sequence[Query], vectors: NDArray[np.float32]) -> list[Ranked]:
        """Candidates of each query: with their cosines where they will be reranked, else in their final order."""
        if not self._reranks:
            return self._lexical(queries) if self._options.candidates == "lexical" else self._dense(vectors)
        kinds = [self._kind_of(query) for query in queries]
        if set(kinds) == {"dense"}:
            return self._dense(vectors)
        while True:  # two searches see one commit, or are made again: a document replaced between them would come twice
            commit = self._index.commit
            pools = self._joined(queries, vectors, kinds)
            if self._index.commit == commit:
                return pools

    def _kind_of(self, query: Query) -> str:
        """Which candidates a query gets."""
        if self._options.candidates != "auto":
            return self._options.candidates
        known = not self._looks_up_words or self._encoder.unfamiliar(query.text) < UNFAMILIAR
        return "dense" if known else "both"

    def _joined(self, queries: Sequence[Query], vectors: NDArray[np.float32], kinds: Sequence[str]) -> list[Ranked]:
        """Every query's candidates of its kind, those of both kinds joined, all with their cosines."""
        near = [place for place, kind in enumerate(kinds) if kind != "lexical"]
        said = [place for place, kind in enumerate(kinds) if kind != "dense"]
        by_vector = dict(zip(near, self._dense(vectors[near]), strict=True)) if near else {}
        by_word = dict(zip(said, self._lexical([queries[place] for place in said]), strict=True)) if said else {}
        return [self._union(vector, by_vector.get(n), by_word.get(n)) for n, vector in enumerate(vectors)]

    def _dense(self, vectors: NDArray[np.float32]) -> list[Ranked]:
        found = dense_candidates(self._index, self._encoder, vectors, self._depth, self._options)
        return [Ranked.of(found, place, DENSE) for place in range(len(vectors))]

    def _lexical(self, queries: Sequence[Query]) -> list[Ranked]:
        if self.maker is None:
            found = self._index.search_terms([], self._depth)  # which says what is missing
        else:
            terms = [self.maker.query_terms(query.text) for query in queries]
            found = self._index.search_terms(terms, self._depth, _condition(self._options))
        return [Ranked.of(found, place, LEXICAL) for place in range(len(queries))]

    def _union(self, vector: NDArray[np.float32], by_vector: Ranked | None, by_word: Ranked | None) -> Ranked:
        found = by_vector or NOTHING
        if by_word is None:
            return found
        added = by_word.rows[~np.isin(by_word.rows, found.rows)]
        sources = np.where(np.isin(found.rows, by_word.rows), DENSE | LEXICAL, DENSE).astype(np.uint8)
        return Ranked(
            np.concatenate([found.rows, added]),
            np.concatenate([found.scores, self._reranker.cosines(vector, added)]),
            np.concatenate([sources, np.full(len(added), LEXICAL, dtype=np.uint8)]),
        )


def _condition(options: SearchOptions) -> Condition | None:
    return None if options.filter is None else condition_of(parse_filter(options.filter))
