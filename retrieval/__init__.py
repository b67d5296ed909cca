"""Joins encoders and index: corpora in, rankings out."""

from .corpus import CorpusOptions, read_documents, read_ids, read_queries
from .evidence import EvidenceOptions
from .exporting import corpus_row, export
from .formats import Format
from .negatives import MinedPair, MiningOptions, mine_pairs
from .payload import document_of
from .plan import Planned, Progress
from .rebuilding import RebuildReport, rebuild
from .records import Document, Explanation, Hit, MatchedSegment, Query, Ranking, SearchOptions
from .retriever import Retriever
from .tuning_queries import read_tuning_queries

__all__ = [
    "CorpusOptions",
    "Document",
    "EvidenceOptions",
    "Explanation",
    "Format",
    "Hit",
    "MatchedSegment",
    "MinedPair",
    "MiningOptions",
    "Planned",
    "Progress",
    "Query",
    "Ranking",
    "RebuildReport",
    "Retriever",
    "SearchOptions",
    "corpus_row",
    "document_of",
    "export",
    "mine_pairs",
    "read_documents",
    "read_ids",
    "read_queries",
    "read_tuning_queries",
    "rebuild",
]
