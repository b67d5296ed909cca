"""The second stage: a query's candidates scored from what is cached beside them, put in order, cut to k.

``cosine·c + lexical·BM25 + head·residual`` on raw scores, with ``c = (1 − segments)·cosine(document) + segments·max
over segments`` (docs/quality.md). No text is read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder, Weights
from ..encoders.serving.sketch import cosines
from ..errors import InvalidInputError
from ..index import Candidates, Index, QueryTerms
from .evidence import EvidenceMaker

DENSE, LEXICAL = 1, 2
"""Bits that tell among which candidates a document was."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query as the second stage has it.

    vector: ``(dim,)`` float32 unit vector. weights: what counts how much for this query.
    terms, sketch: what is compared with terms and segments; None where the index keeps none.
    """

    vector: NDArray[np.float32]
    weights: Weights
    terms: QueryTerms | None = None
    sketch: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One query's documents, best first, and what their scores are made of.

    rows: ``(n,)`` int64 row numbers. scores: ``(n,)`` float32, higher is better. sources: ``(n,)`` uint8, among which
    candidates: ``DENSE``, ``LEXICAL`` or both bits. parts: None after the first stage alone.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    sources: NDArray[np.uint8]
    parts: Parts | None = None

    @classmethod
    def of(cls, candidates: Candidates, place: int, source: int) -> Ranked:
        """The candidates of the query at ``place``, as the index ordered them."""
        there = candidates.rows[place] >= 0
        rows = candidates.rows[place][there]
        return cls(rows, candidates.scores[place][there], np.full(len(rows), source, dtype=np.uint8))

    def taken(self, order: NDArray[np.int64]) -> Ranked:
        """The documents at ``order``, in that order."""
        parts = None if self.parts is None else self.parts.taken(order)
        return Ranked(self.rows[order], self.scores[order], self.sources[order], parts)


@dataclass(frozen=True, slots=True)
class Parts:
    """What scores are made of, ``(n,)`` each: float32, but for ``segments``, numbers from 1, 0 for none.

    weights: of the query. cosines: of the whole document. best: of its best segment, the document's own where it has
    none. lexical: BM25. heads: the residual head's.
    """

    weights: Weights
    cosines: NDArray[np.float32]
    best: NDArray[np.float32]
    segments: NDArray[np.int64]
    lexical: NDArray[np.float32]
    heads: NDArray[np.float32]

    def taken(self, order: NDArray[np.int64]) -> Parts:
        """Those of the documents at ``order``."""
        return Parts(
            self.weights,
            self.cosines[order],
            self.best[order],
            self.segments[order],
            self.lexical[order],
            self.heads[order],
        )

    def scores(self) -> NDArray[np.float32]:
        """The weighted sum, ``(n,)``; added in float64 and rounded once."""
        weights = self.weights
        cosine = self.cosines + weights.segments * (self.best.astype(np.float64) - self.cosines)
        total = weights.cosine * cosine + weights.lexical * self.lexical.astype(np.float64)
        return (total + weights.head * self.heads).astype(np.float32)


NOTHING = Ranked(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), np.empty(0, dtype=np.uint8))
"""No candidates."""


class Reranker:
    """Scores candidates of one index by one model.

    weights: None for the model's own, without the parts that the index keeps nothing for.
    thorough: find every part that can be had, though it weighs nothing: for who wants to see them.

    Raises InvalidInputError for weights given to parts that index or model have nothing for.
    """

    def __init__(
        self,
        index: Index,
        encoder: TwinEncoder,
        maker: EvidenceMaker | None,
        weights: Weights | None = None,
        *,
        thorough: bool = False,
    ) -> None:
        if weights is not None:
            _check_served(index, encoder, maker, weights)
        self.index, self.encoder, self.maker = index, encoder, maker
        self.weights = weights or _served(encoder, maker)
        self._lexical = maker is not None and (thorough or self.weights.lexical > 0)
        self._segments = maker is not None and maker.schema.part_width > 0 and (thorough or self.weights.segments > 0)
        self._head = encoder.has_head and (thorough or self.weights.head > 0)

    @property
    def changes_order(self) -> bool:
        """Whether it can rank otherwise than the cosine alone."""
        return self._lexical or self._segments or self._head

    def question(self, text: str, vector: NDArray[np.float32]) -> Question:
        """A query's text and vector, made ready."""
        terms = self.maker.query_terms(text) if self.maker is not None and self._lexical else None
        sketch = self.maker.query_sketch(vector) if self.maker is not None and self._segments else None
        weights = self.weights
        if terms is not None and weights.unfamiliar:
            lexical = weights.lexical * (1 + weights.unfamiliar * self.encoder.unfamiliar(text))
            weights = replace(weights, lexical=lexical)
        return Question(vector, weights, terms, sketch)

    def best(self, question: Question, found: Ranked, k: int) -> Ranked:
        """Score candidates and keep the best ``k``.

        found: with their cosines as scores. Equal scores are ordered by id, descending, before the cut: only their ids
        are read.
        """
        if not len(found.rows):
            return found
        parts = self.parts(question, found)
        scores = parts.scores()
        ranked = Ranked(found.rows, scores, found.sources, parts).taken(np.argsort(-scores, kind="stable"))
        return _ties_by_id(self.index, ranked, k).taken(np.arange(min(k, len(scores))))

    def parts(self, question: Question, found: Ranked) -> Parts:
        """What the scores of candidates are made of; ``found`` with their cosines as scores."""
        best, segments = found.scores, np.zeros(len(found.rows), dtype=np.int64)
        lexical = heads = np.zeros(len(found.rows), dtype=np.float32)
        if question.sketch is not None:
            best, segments = self._best_segments(question.sketch, found)
        if question.terms is not None:
            lexical = self.index.bm25(found.rows, question.terms)
        if self._head:
            heads = self._heads(question.vector, found)
        return Parts(question.weights, found.scores, best, segments, lexical, heads)

    def cosines(self, vector: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosines ``(n,)`` of candidates that were not found by them, summed as the index sums them."""
        vectors = self.index.vectors(rows).astype(np.float64)
        products: NDArray[np.float64] = np.einsum("ij,j->i", vectors, vector.astype(np.float64))
        return products.astype(np.float32)

    def _best_segments(
        self, sketch: NDArray[np.float32], found: Ranked
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        codes, starts = self.index.parts(found.rows)
        best, numbers = found.scores.copy(), np.zeros(len(found.rows), dtype=np.int64)
        having = np.flatnonzero(starts[1:] > starts[:-1])
        if not len(having):
            return best, numbers
        values = cosines(sketch, codes)
        best[having] = np.maximum.reduceat(values, starts[having])
        owners = np.repeat(np.arange(len(found.rows)), np.diff(starts))
        hits = np.flatnonzero(values == best[owners])[::-1]  # the first of equal segments is written last
        numbers[owners[hits]] = hits - starts[owners[hits]] + 1
        return best, numbers

    def _heads(self, query: NDArray[np.float32], found: Ranked) -> NDArray[np.float32]:
        vectors = self.index.vectors(found.rows)
        if len(np.unique(found.scores)) == len(found.scores):
            return self.encoder.residual(query, vectors)
        # BLAS may round equal rows apart by where they stand: a vector that several documents share is scored once.
        distinct, places = np.unique(vectors, axis=0, return_inverse=True)
        return self.encoder.residual(query, distinct)[places.reshape(-1)]


def _served(encoder: TwinEncoder, maker: EvidenceMaker | None) -> Weights:
    """The model's weights, 0 for what the index or the model has nothing for."""
    weights = encoder.weights
    return replace(
        weights,
        lexical=0.0 if maker is None else weights.lexical,
        segments=weights.segments if maker is not None and maker.schema.part_width else 0.0,
        head=weights.head if encoder.has_head else 0.0,
    )


def _check_served(index: Index, encoder: TwinEncoder, maker: EvidenceMaker | None, weights: Weights) -> None:
    if maker is None and (weights.lexical or weights.segments):
        raise InvalidInputError(
            f"{index.path} keeps neither terms nor segments beside its vectors: set the weights lexical and segments "
            "to 0, or encode it anew with `twinbert index reencode`"
        )
    if maker is not None and not maker.schema.part_width and weights.segments:
        raise InvalidInputError(f"{index.path} was built without segments: set the weight segments to 0")
    if not encoder.has_head and weights.head:
        raise InvalidInputError(f"the model {encoder.source} has no residual head: set the weight head to 0")


def _ties_by_id(index: Index, ranked: Ranked, k: int) -> Ranked:
    equal = ranked.scores[1:] == ranked.scores[:-1]
    tied = np.append(equal, False) | np.append(False, equal)
    tied &= ranked.scores >= ranked.scores[min(k, len(ranked.scores)) - 1]
    if not tied.any():
        return ranked
    ids = {stored.row: stored.id for stored in index.stored(ranked.rows[tied])}
    keys = [(score, ids.get(row, "")) for row, score in zip(ranked.rows.tolist(), ranked.scores.tolist(), strict=True)]
    order = sorted(range(len(keys)), key=keys.__getitem__, reverse=True)
    return ranked.taken(np.array(order))
