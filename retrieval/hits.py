"""Rows to hits: payloads read by one query to the store, scores told apart where that was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..index import Index, Stored
from .evidence import EvidenceMaker
from .payload import Payload, payload_of
from .records import Explanation, Hit, MatchedSegment, Query, Ranking, full_text
from .rerank import DENSE, LEXICAL, Ranked

_UNREAD = Payload("", "", {})


class Hits:
    """Makes rankings of one call of ``Retriever.search_many``.

    payloads: whether hits have text, title and metadata. explained: whether they tell what scores are made of.
    """

    def __init__(self, index: Index, maker: EvidenceMaker | None, *, payloads: bool, explained: bool = False) -> None:
        self._index, self._maker, self._payloads, self._explained = index, maker, payloads, explained

    def of(self, queries: Sequence[Query], ranked: Sequence[Ranked]) -> Iterator[Ranking]:
        """The rankings of queries, in their order."""
        stored = iter(self._index.stored(np.concatenate([one.rows for one in ranked])))
        for query, one in zip(queries, ranked, strict=True):
            hits = [self._hit(next(stored), one, place, score) for place, score in enumerate(one.scores.tolist())]
            yield Ranking(query.id, tuple(hits))

    def _hit(self, stored: Stored, ranked: Ranked, place: int, score: float) -> Hit:
        payload = payload_of(stored) if self._payloads else _UNREAD
        explanation = self._explanation(payload, ranked, place) if self._explained else None
        return Hit(stored.id, place + 1, score, None, payload.text, payload.metadata, payload.title, explanation)

    def _explanation(self, payload: Payload, ranked: Ranked, place: int) -> Explanation | None:
        parts, source = ranked.parts, int(ranked.sources[place])
        if parts is None:
            return None
        return Explanation(
            cosine=float(parts.cosines[place]),
            segment=self._segment(payload, int(parts.segments[place]), float(parts.best[place])),
            lexical=float(parts.lexical[place]),
            head=float(parts.heads[place]),
            weights=parts.weights,
            found_by=tuple(name for name, bit in (("dense", DENSE), ("lexical", LEXICAL)) if source & bit),
        )

    def _segment(self, payload: Payload, number: int, cosine: float) -> MatchedSegment | None:
        if not number or self._maker is None:
            return None
        if not self._payloads:
            return MatchedSegment(number, 0, 0, cosine, None)
        segment = self._maker.segments(full_text(payload.title, payload.text))[number - 1]
        return MatchedSegment(number, segment.start, segment.end, cosine, segment.text)
