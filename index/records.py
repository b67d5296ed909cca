"""What goes into an index and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .tuning import Tuning

KEY_BYTES = 32
"""Length of a vector key: a 256-bit hash of the exact text encoded and the vector space."""


@dataclass(frozen=True, slots=True)
class Record:
    """One document version, as handed to a writer.

    id: the caller's name of the document, a non-empty string.
    vector_key: 32 bytes that name the vector; documents with one key share one stored vector.
    payload: text kept beside the document, opaque to the index (JSON by convention).

    Raises InvalidInputError when a field cannot be stored.
    """

    id: str
    vector_key: bytes
    payload: str

    def __post_init__(self) -> None:
        check_id(self.id)
        if len(self.vector_key) != KEY_BYTES:
            raise InvalidInputError(f"document {self.id!r}: a vector key is the {KEY_BYTES} bytes of a hash")
        if not _is_unicode(self.payload):
            raise InvalidInputError(f"document {self.id!r}: the payload holds lone surrogates: use valid Unicode")


@dataclass(frozen=True, slots=True)
class Stored:
    """One document version as the index holds it; ``row`` names this version for good."""

    row: int
    id: str
    payload: str


@dataclass(frozen=True, slots=True)
class Candidates:
    """The best documents for each query, best first; higher scores are better.

    rows: ``(n_queries, k)`` int64 row numbers, -1 where fewer than k documents exist.
    scores: ``(n_queries, k)`` float32 inner products, ``-inf`` beside a -1.

    Equal scores are ordered by document id, descending, as trec_eval orders them, before the cut to k.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What one command did, counted in documents.

    missing: ids asked to be deleted that the index does not hold.
    documents: live documents afterwards.
    generation: the segment generation that is current afterwards.
    """

    added: int
    changed: int
    unchanged: int
    removed: int
    missing: int
    documents: int
    generation: int


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What a command would do if it were committed now, counted in documents.

    missing: ids asked to be deleted that the index does not hold.
    to_encode: distinct vectors that have to be put before.
    """

    added: int
    changed: int
    unchanged: int
    removed: int
    missing: int
    to_encode: int


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """One commit that the index remembers.

    made: when, ISO 8601 in UTC. kind: ``build``, ``update``, ``sync``, ``compact`` or ``rollback``.
    added, changed, removed: what it did, counted in documents; documents: how many lived afterwards.
    undoable: whether a rollback can go back to before it; compactions change no document and are passed over.
    """

    number: int
    made: str
    kind: str
    added: int
    changed: int
    removed: int
    documents: int
    undoable: bool


@dataclass(frozen=True, slots=True)
class GcReport:
    """What forgetting history gave back: commits, document versions, and bytes of the folder."""

    commits: int
    versions: int
    bytes: int


@dataclass(frozen=True, slots=True)
class DeleteReport:
    """What a deletion did, counted in documents."""

    removed: int
    missing: int


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An index at one commit.

    vectors: distinct vectors that live documents use.
    fresh: live documents newer than the segment.
    dead: documents of the segment that have died since it was written.
    bytes: size of all files of the folder.
    index_key: the family that the current segment was built with; reason: why.
    tuning: how its search effort was chosen; None for exact search, or where no target was asked for.
    evidence: the note of what is kept beside the vectors, None for nothing. lexical: whether ``search_terms`` answers.
    """

    documents: int
    vectors: int
    dimension: int
    index_key: str
    generation: int
    commit: int
    space: str
    model: str
    fresh: int
    dead: int
    bytes: int
    reason: str
    tuning: Tuning | None
    evidence: str | None
    lexical: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault that ``verify`` found: the file it stands in, and what is wrong."""

    file: str
    message: str


def check_id(document_id: object) -> str:
    """Give an id back; raise InvalidInputError unless it can name a document."""
    if not isinstance(document_id, str) or not document_id:
        raise InvalidInputError(f"a document id must be a non-empty string, not {document_id!r}")
    if not _is_unicode(document_id):
        raise InvalidInputError(f"document id {document_id!r} holds lone surrogates: use valid Unicode")
    return document_id


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
