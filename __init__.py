"""TwinBERT retrieval: two towers, a FAISS index, a rerank from cached vectors.

Names are loaded on first use, so ``import twinbert`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .encoders import TwinEncoder, Weights
    from .errors import TwinBertError
    from .index import BuildOptions, ChangeReport
    from .retrieval import Document, EvidenceOptions, Hit, Query, Ranking, Retriever, SearchOptions

__all__ = [
    "BuildOptions",
    "ChangeReport",
    "Document",
    "EvidenceOptions",
    "Hit",
    "Query",
    "Ranking",
    "Retriever",
    "SearchOptions",
    "TwinBertError",
    "TwinEncoder",
    "Weights",
    "__version__",
]

_HOMES = {
    "BuildOptions": ".index",
    "ChangeReport": ".index",
    "Document": ".retrieval",
    "EvidenceOptions": ".retrieval",
    "Hit": ".retrieval",
    "Query": ".retrieval",
    "Ranking": ".retrieval",
    "Retriever": ".retrieval",
    "SearchOptions": ".retrieval",
    "TwinBertError": ".errors",
    "TwinEncoder": ".encoders",
    "Weights": ".encoders",
}


def __getattr__(name: str) -> object:
    """Load a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
