"""Fits a model's weights to one collection's judgements, by an index of a part of its documents."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..encoders import ModelFolder, TwinEncoder, Weights
from ..encoders.config import read_config, write_config
from ..retrieval import Document, Query, Retriever
from .qrels import Qrels
from .weights import FittedWeights, JudgedPool, fit_weights, judged_pool, mean_ndcg

MOST = 5_000
"""Documents that are indexed to fit on, the judged ones among them."""


def fit_to_collection(
    encoder: TwinEncoder, documents: Sequence[Document], queries: Sequence[Query], qrels: Qrels, *, seed: int = 0
) -> FittedWeights:
    """Weights half of the way from the encoder's own to those that are best on these judgements.

    One collection over-rewards what is special in it, so only half of the way is gone. The own weights are kept where
    half of the way gains no more than the standard error over queries.

    queries: none that the model was trained on. documents: of a large collection ``MOST`` are drawn beside the judged.
    """
    with tempfile.TemporaryDirectory() as folder:
        index = Path(folder) / "index"
        with Retriever.build(index, _sample(documents, qrels, seed), encoder) as retriever:
            pool = judged_pool(retriever, queries, qrels)
    own = encoder.weights
    best = fit_weights([pool], own).weights
    halfway = _between(own, best)
    chosen = halfway if _is_real(pool, own, halfway) else own
    return FittedWeights(chosen, (mean_ndcg(pool, own),), (mean_ndcg(pool, chosen),))


def set_weights(folder: Path, weights: Weights) -> None:
    """Write weights into a model's ``config.json``; its vectors, and indexes made of them, stay valid."""
    path = ModelFolder(folder).config
    write_config(replace(read_config(path), weights=weights), path)


def _sample(documents: Sequence[Document], qrels: Qrels, seed: int) -> list[Document]:
    judged = {name for row in qrels.values() for name in row}
    others = [document for document in documents if document.id not in judged]
    count = min(max(MOST - len(judged), 0), len(others))
    drawn = random.Random(seed).sample(others, count)  # noqa: S311 - a sample, no secret
    return [*(document for document in documents if document.id in judged), *drawn]


def _between(own: Weights, best: Weights) -> Weights:
    return replace(
        own,
        segments=(own.segments + best.segments) / 2,
        lexical=(own.lexical + best.lexical) / 2,
        head=(own.head + best.head) / 2,
    )


def _is_real(pool: Sequence[JudgedPool], before: Weights, after: Weights) -> bool:
    gains = np.array([query.ndcg(after) - query.ndcg(before) for query in pool])
    return len(gains) > 1 and bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))
