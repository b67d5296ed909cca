"""The words that flow through retrieval: documents and queries going in, hits and rankings coming out.

All are frozen and checked once, where they are made; whoever holds one need not check it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..encoders import Weights
from ..errors import InvalidInputError
from .checks import check_count, check_id, check_text, described, json_copy
from .filters import parse_filter

CANDIDATES = ("auto", "dense", "lexical", "both")


def full_text(title: str, text: str) -> str:
    """Title and text with one space between, blanks at both ends taken off."""
    return f"{title} {text}".strip()


@dataclass(frozen=True, slots=True)
class Document:
    """One document.

    id: any string that is not blank; kept exactly, so ``"7"``, ``"07"`` and ``" 7"`` are three documents.
    text, title: ``full_text`` of both is what is encoded; both may be empty, as in some BEIR collections.
    metadata: JSON values under string keys, given back with every hit, never encoded; copied.

    Raises InvalidInputError for anything else, for NUL characters and for lone surrogates.
    """

    id: str
    text: str
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_id(self.id)
        check_text(self.text, "text")
        check_text(self.title, "title")
        if not isinstance(self.metadata, Mapping):
            raise InvalidInputError(f"metadata must be an object, not {described(self.metadata)}")
        object.__setattr__(self, "metadata", json_copy(dict(self.metadata), "metadata"))

    @property
    def full_text(self) -> str:
        """Title and text as one: exactly what is encoded."""
        return full_text(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Query:
    """One question.

    id: a string that is not blank. text: a string that is not blank. Raises InvalidInputError otherwise.
    """

    id: str
    text: str

    def __post_init__(self) -> None:
        check_id(self.id)
        if not check_text(self.text, "query").strip():
            raise InvalidInputError("query is empty or blank: write what to search for")


@dataclass(frozen=True, slots=True)
class MatchedSegment:
    """The segment of a document that a query came closest to.

    number: from 1. start, end: its place in the document's full text, in characters; 0 where no payloads were asked
        for, and the text is None. cosine: of its sketch with the query's.
    """

    number: int
    start: int
    end: int
    cosine: float
    text: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a hit's score is made of.

    cosine: of the whole document. segment: the one that came closest; None for a document without segments, or where
        none were compared. lexical: BM25. head: the residual head's part. Each raw, before its weight.
    weights: what each counted for this query; ``lexical`` with what ``unfamiliar`` made of it.
    found_by: which candidates it was among, ``dense``, ``lexical`` or both.
    """

    cosine: float
    segment: MatchedSegment | None
    lexical: float
    head: float
    weights: Weights
    found_by: tuple[str, ...]

    @property
    def contributions(self) -> dict[str, float]:
        """What each part adds to the score; they sum up to it, but for rounding."""
        share = self.weights.segments if self.segment is not None else 0.0
        best = self.segment.cosine if self.segment is not None else 0.0
        return {
            "cosine": self.weights.cosine * (1 - share) * self.cosine,
            "segment": self.weights.cosine * share * best,
            "lexical": self.weights.lexical * self.lexical,
            "head": self.weights.head * self.head,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """One document found.

    rank: from 1.
    score: the last stage's own, higher is better: a weighted sum after a rerank (``Weights``), else a cosine, or BM25
        of lexical candidates.
    probability: None until the model is calibrated.
    explanation: what the score is made of, where that was asked for.
    """

    id: str
    rank: int
    score: float
    probability: float | None
    text: str
    metadata: Mapping[str, Any] = field(hash=False)
    title: str = ""
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """What one query found, best first; equal scores are ordered by id, descending, as trec_eval orders them."""

    query_id: str
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """What may differ from one search to the next; nothing of it is remembered.

    depth: candidates that the rerank scores; None for the larger of 100 and ``k``. A depth below ``k`` is refused
        at the search.
    rerank: False keeps the order of the candidates: by cosine, or by BM25.
    candidates: ``dense`` takes the nearest vectors, ``lexical`` those with most of the query's words by BM25, ``both``
        up to ``depth`` of each, which only a rerank can put in order. ``auto`` takes both for a query that the model
        knows little of (``stages.UNFAMILIAR``), where index and weights have words, and else the nearest vectors.
    weights: what a candidate's score is made of; None for the model's own.
    explain: give with each hit what its score is made of.
    exact: compare with every vector rather than ask the approximate index.
    ef_search: width of the HNSW search (never below the candidates asked for); nprobe: inverted lists searched; None
        for the index's own. Each is refused by an index of the other family.
    filter: only documents whose metadata match, as an expression (``lang = "de" and year >= 2020``, see
        ``filters.parser``) or a dictionary (``{"lang": "de", "year": {"$gte": 2020}}``, see ``filters.mapping``);
        what exactly matches is told in ``filters.nodes``. None for all.

    Raises InvalidInputError when depth, ef_search or nprobe is not a whole number of at least 1, the filter is none, or
    ``both`` is not reranked.
    """

    depth: int | None = None
    rerank: bool = True
    exact: bool = False
    ef_search: int | None = None
    nprobe: int | None = None
    filter: str | Mapping[str, Any] | None = field(default=None, hash=False)
    candidates: Literal["auto", "dense", "lexical", "both"] = "auto"
    weights: Weights | None = None
    explain: bool = False

    def __post_init__(self) -> None:
        if self.candidates not in CANDIDATES:
            raise InvalidInputError(f"candidates must be one of {', '.join(CANDIDATES)}, not {self.candidates!r}")
        if not self.rerank and (self.candidates == "both" or self.explain or self.weights is not None):
            raise InvalidInputError("both kinds of candidates, weights and explanations need the rerank: leave it on")
        for name in ("depth", "ef_search", "nprobe"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        if self.filter is not None:
            parse_filter(self.filter)
