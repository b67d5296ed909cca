"""How much of the fp32 model an int8 graph keeps, and what it saves."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from ...serving.trigrams import TRIGRAMS_PER_WORD

NEIGHBOURS = 10
"""Nearest documents compared."""
FEWEST_QUERIES, FEWEST_DOCUMENTS = 50, 500
"""With fewer texts the share of neighbours kept is too coarse to refuse an export by."""
TIMED_TOKENS, TIMED_ROUNDS = 16, 41


@dataclass(frozen=True, kw_only=True)
class Parity:
    """One int8 graph against its fp32 original.

    tower: ``tower`` where both sides share it, else the side.
    cosine_mean, cosine_min: between a text's two vectors.
    query_overlap: share of the fp32 model's ten nearest documents that int8 queries find among fp32 documents;
    None for a document tower.
    both_overlap: the same with int8 on both sides; None for a query tower.
    speed_ratio: fp32's time over int8's, median of process CPU time for one text of 16 tokens on one thread.
    size_bytes, fp32_bytes: of the graphs.
    accepted: it meets the bounds.
    """

    tower: str
    recipe: str
    cosine_mean: float
    cosine_min: float
    query_overlap: float | None
    both_overlap: float | None
    speed_ratio: float
    size_bytes: int
    fp32_bytes: int
    accepted: bool
    chosen: bool = False


@dataclass(frozen=True, kw_only=True)
class ParityReport:
    """What an export measured; ``parity.json`` in the model folder.

    bounded: there were texts enough to hold the export to its bounds.
    unmeasured: why nothing was measured; empty where something was.
    recipes: the recipe of each int8 graph, by its tower.
    """

    queries: int
    documents: int
    bounded: bool
    query_bound: float
    document_bound: float
    table: str
    recipes: dict[str, str]
    rows: list[Parity]
    unmeasured: str = ""

    def to_json(self) -> bytes:
        """Readable JSON."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def neighbours(queries: NDArray[np.float32], documents: NDArray[np.float32]) -> NDArray[np.int64]:
    """Rows of each query's nearest documents, ``(n, k)`` in no order; k is 10, or a tenth of the documents if less."""
    count = min(NEIGHBOURS, max(1, len(documents) // NEIGHBOURS))
    return np.concatenate(
        [
            np.argpartition(-(part @ documents.T), count - 1, axis=1)[:, :count]
            for part in np.array_split(queries, max(1, len(queries) // 256))
        ]
    )


def overlap(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Mean share of the expected neighbours that were found."""
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(expected, found, strict=True)]))


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Between the unit rows of two matrices."""
    found: NDArray[np.float32] = (one * other).sum(axis=1)
    return found


def speed_ratio(
    fp32: InferenceSession, int8: InferenceSession, *, trigrams: bool, longest: int, vocabulary: int
) -> float:
    """fp32's time over int8's for one text, interleaved: medians of the process's CPU time."""
    tokens = min(TIMED_TOKENS, longest)
    shape = (1, tokens, TRIGRAMS_PER_WORD) if trigrams else (1, tokens)
    ids = np.random.default_rng(0).integers(1, vocabulary, shape)
    inputs = {"ids": ids, "mask": np.ones((1, tokens), dtype=np.float32)}
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(TIMED_ROUNDS):
        for session, taken in zip((fp32, int8), times, strict=True):
            taken.append(_cpu_time(session, inputs))
    return statistics.median(times[0]) / max(statistics.median(times[1]), 1e-9)


def _cpu_time(session: InferenceSession, inputs: dict[str, Any]) -> float:
    start = time.process_time()
    session.run(None, inputs)
    return time.process_time() - start


def enough(queries: Sequence[str], documents: Sequence[str]) -> bool:
    """Whether there are texts enough to refuse an export by."""
    return len(queries) >= FEWEST_QUERIES and len(documents) >= FEWEST_DOCUMENTS
