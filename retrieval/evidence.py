"""What is cached beside a document's vector for the rerank: its terms, and sketches of its segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..encoders import TwinEncoder
from ..encoders.serving.sketch import sketch, to_codes
from ..encoders.serving.words import WordAnalyser, check_language
from ..errors import InvalidInputError
from ..index import Evidence, EvidenceSchema, IndexSchema, QueryTerms
from .checks import check_count
from .segments import Segment, segments_of

_VERSION = 1
"""Of how words and sketches are made; another one than an index's is refused."""


@dataclass(frozen=True, slots=True)
class EvidenceOptions:
    """What is cached beside the vectors of an index; stored with it.

    language: words are stemmed in it, as ISO 639-1 names it (``en``); ``auto`` for the model's own, None for whole
    words.
    segments: the most of a document; 0 for none. segment_words: words of one; a document that is hardly longer has
    none.
    segment_width: int8 entries, and bytes, of one; of a model with fewer dimensions as many as those.

    Raises InvalidInputError for a value out of range, or a language that there is no stemmer for.
    """

    language: str | None = "auto"
    segments: int = 4
    segment_words: int = 30
    segment_width: int = 128

    def __post_init__(self) -> None:
        if self.language not in ("auto", None):
            check_language(self.language)
        if type(self.segments) is not int or self.segments < 0:
            raise InvalidInputError(f"segments must be a whole number of at least 0, not {self.segments!r}")
        check_count(self.segment_words, "segment_words")
        check_count(self.segment_width, "segment_width")


class _Note(msgspec.Struct, frozen=True):
    """How the evidence of an index was made, as the index keeps it."""

    version: int
    language: str | None
    segments: int
    segment_words: int
    segment_width: int


class EvidenceMaker:
    """Makes what is cached beside vectors, and the same of queries."""

    def __init__(self, note: _Note) -> None:
        self._note = note
        self._analyser = WordAnalyser(note.language)

    @classmethod
    def of(cls, options: EvidenceOptions, encoder: TwinEncoder) -> EvidenceMaker:
        """For a new index."""
        width = min(options.segment_width, encoder.dimension) if options.segments else 0
        language = encoder.config.language if options.language == "auto" else options.language
        return cls(_Note(_VERSION, language, options.segments, options.segment_words, width))

    @classmethod
    @lru_cache(maxsize=16)
    def stored(cls, schema: EvidenceSchema) -> EvidenceMaker:
        """As an index says; raises InvalidInputError for what this version does not make."""
        try:
            note = msgspec.json.decode(schema.note, type=_Note)
        except msgspec.DecodeError:
            note = None
        if note is None or note.version != _VERSION:
            raise InvalidInputError(
                f"what the index keeps beside its vectors ({schema.note}) is not made by this version: "
                "build it again, or use the version that built it"
            )
        return cls(note)

    @property
    def schema(self) -> EvidenceSchema:
        """How the evidence is made, as the index keeps it."""
        return EvidenceSchema(msgspec.json.encode(self._note).decode(), self._note.segment_width)

    def segments(self, text: str) -> list[Segment]:
        """The segments of a document's full text that have a sketch, in the order of the sketches."""
        return segments_of(text, self._note.segment_words, self._note.segments) if self._note.segments else []

    def evidence(self, texts: Sequence[str], encoder: TwinEncoder) -> Evidence:
        """What is cached beside the vectors of documents' full texts, in their order."""
        terms, counts = zip(*map(self._analyser.terms, texts), strict=True)
        parts = [[segment.text for segment in self.segments(text)] for text in texts]
        return Evidence(
            _starts(terms),
            np.concatenate(terms),
            np.concatenate(counts),
            _starts(parts),
            self._codes([part for some in parts for part in some], encoder),
        )

    def query_terms(self, text: str) -> QueryTerms:
        """The distinct terms of a query, and how often it says each."""
        terms, counts = self._analyser.terms(text)
        return QueryTerms(terms, counts.astype(np.float32))

    def query_sketch(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """What a query's vector ``(dimension,)`` is compared with segments by: ``(segment_width,)`` float32."""
        short: NDArray[np.float32] = sketch(vector[None], self._note.segment_width)[0]
        return short

    def _codes(self, texts: list[str], encoder: TwinEncoder) -> NDArray[np.int8]:
        if not texts:
            return np.empty((0, self._note.segment_width), dtype=np.int8)
        return to_codes(sketch(encoder.encode_documents(texts), self._note.segment_width))


def _starts(parts: Sequence[Sequence[object]] | Sequence[NDArray[np.uint32]]) -> NDArray[np.int64]:
    return np.append(0, np.cumsum([len(part) for part in parts])).astype(np.int64)


def key_space(schema: IndexSchema) -> str:
    """What the keys of vectors are made with, beside texts: the space, and what is cached beside the vectors."""
    return schema.space if schema.evidence is None else f"{schema.space}\0{schema.evidence.note}"


def maker_of(schema: IndexSchema) -> EvidenceMaker | None:
    """What makes the evidence of an index, None where it keeps none; raises InvalidInputError as ``stored``."""
    return None if schema.evidence is None else EvidenceMaker.stored(schema.evidence)
