"""BM25 as a peer: bm25s with Lucene's formula, k1 0.9 and b 0.4 as Anserini runs it, no stemmer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bm25_scores(documents: Sequence[str], queries: Sequence[str]) -> NDArray[np.float32]:
    """Every document's BM25 score for every query, ``(n_queries, n_documents)`` float32.

    Texts are lowered and cut into words of two characters or more; bm25s' English stop words are left out, which is
    its default. Without bm25s the script ends with what to install.
    """
    try:
        import bm25s
    except ImportError:
        sys.exit("error: bm25s is missing: pip install bm25s")
    engine = bm25s.BM25(method="lucene", k1=0.9, b=0.4)
    engine.index(bm25s.tokenize(list(documents), stopwords="en", show_progress=False), show_progress=False)
    words = bm25s.tokenize(list(queries), stopwords="en", return_ids=False, show_progress=False)
    return np.stack([_scores(engine, query, len(documents)) for query in words])


def _scores(engine: Any, words: list[str], documents: int) -> NDArray[np.float32]:  # noqa: ANN401  bm25s is untyped
    known = [word for word in words if word in engine.vocab_dict]
    if not known:
        return np.zeros(documents, dtype=np.float32)
    return np.asarray(engine.get_scores(known), dtype=np.float32)
