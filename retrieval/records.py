"""The words that flow through retrieval: documents and queries going in, hits and rankings coming out.

All are frozen and checked once, where they are made; whoever holds one need not check it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InvalidInputError
from .checks import check_count, check_id, check_text, described, json_copy
from .filters import parse_filter


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
class Hit:
    """One document found.

    rank: from 1.
    score: the last stage's own, higher is better: a cosine, or the residual crossing's logit after a rerank.
    probability: None until the model is calibrated.
    """

    id: str
    rank: int
    score: float
    probability: float | None
    text: str
    metadata: Mapping[str, Any] = field(hash=False)
    title: str = ""


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
    rerank: False keeps the cosine's own order.
    exact: compare with every vector rather than ask the approximate index.
    ef_search: width of the HNSW search (never below the candidates asked for); nprobe: inverted lists searched; None
        for the index's own. Each is refused by an index of the other family.
    filter: only documents whose metadata match, as an expression (``lang = "de" and year >= 2020``, see
        ``filters.parser``) or a dictionary (``{"lang": "de", "year": {"$gte": 2020}}``, see ``filters.mapping``);
        what exactly matches is told in ``filters.nodes``. None for all.

    Raises InvalidInputError when depth, ef_search or nprobe is not a whole number of at least 1, or the filter is none.
    """

    depth: int | None = None
    rerank: bool = True
    exact: bool = False
    ef_search: int | None = None
    nprobe: int | None = None
    filter: str | Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self) -> None:
        for name in ("depth", "ef_search", "nprobe"):
            if getattr(self, name) is not None:
                check_count(getattr(self, name), name)
        if self.filter is not None:
            parse_filter(self.filter)
