"""Joins encoders and index: corpora in, rankings out."""

from .corpus import CorpusOptions, read_documents, read_ids, read_queries
from .formats import Format
from .payload import document_of
from .plan import Progress
from .records import Document, Hit, Query, Ranking, SearchOptions
from .retriever import Retriever

__all__ = [
    "CorpusOptions",
    "Document",
    "Format",
    "Hit",
    "Progress",
    "Query",
    "Ranking",
    "Retriever",
    "SearchOptions",
    "document_of",
    "read_documents",
    "read_ids",
    "read_queries",
]
