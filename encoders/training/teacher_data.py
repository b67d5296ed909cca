"""A teacher's training data: judged pairs, tokenised once, handed out query by query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ...errors import InvalidInputError
from ..serving.batches import token_budget
from .cross_encoder import CrossEncoder, EncodedPair, lengths
from .pair_files import JudgedPair
from .teacher_recipe import TeacherRecipe

TeacherBatch = dict[str, Any]
"""``parts``: padded inputs, shortest pairs first. ``labels``, ``guides``, ``queries``: ``(pairs,)`` in their order."""


@dataclass(frozen=True)
class JudgedSet:
    """Judged pairs beside their tokens.

    labels: ``(n,)`` float32. guides: ``(n,)`` float32 cosines of a bi-encoder; NaN where none guides.
    queries: ``(n,)`` int64, numbers the pair's query by its text, in the order of their first pairs.
    """

    encoded: list[EncodedPair]
    labels: NDArray[np.float32]
    guides: NDArray[np.float32]
    queries: NDArray[np.int64]

    def of(self, wanted: NDArray[np.bool_]) -> JudgedSet:
        """Some of the pairs."""
        encoded = [pair for pair, keep in zip(self.encoded, wanted, strict=True) if keep]
        _, queries = np.unique(self.queries[wanted], return_inverse=True)
        return JudgedSet(encoded, self.labels[wanted], self.guides[wanted], queries)

    def rows_by_query(self) -> list[NDArray[np.int64]]:
        """The pairs of each query."""
        order = np.argsort(self.queries, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.queries))[:-1])


def judged_set(pairs: Sequence[JudgedPair], encoder: CrossEncoder, guides: NDArray[np.float32] | None) -> JudgedSet:
    """Tokenise pairs. guides: ``(n,)`` cosines, or None.

    Raises InvalidInputError when all pairs have one label: nothing can be learnt from them.
    """
    labels = np.array([pair.label for pair in pairs], dtype=np.float32)
    if len(pairs) == 0 or labels.min() == labels.max():
        raise InvalidInputError(
            "a teacher learns from pairs that match and pairs that do not, and these have one label"
        )
    numbers: dict[str, int] = {}
    queries = np.array([numbers.setdefault(pair.query, len(numbers)) for pair in pairs], dtype=np.int64)
    encoded = encoder.encode([pair.query for pair in pairs], [pair.document for pair in pairs])
    return JudgedSet(encoded, labels, np.full(len(pairs), np.nan, np.float32) if guides is None else guides, queries)


class QueryRows(torch.utils.data.Dataset[NDArray[np.int64]]):
    """A data set whose items are the pairs of one query: all that match, and some that do not, new ones each epoch.

    epoch: set it before each; with the seed it decides which negatives are drawn, wherever training goes on from.
    """

    def __init__(self, rows: Sequence[NDArray[np.int64]], labels: NDArray[np.float32], recipe: TeacherRecipe) -> None:
        self.rows, self.labels = rows, labels
        self.most, self.seed, self.epoch = recipe.negatives_per_query, recipe.seed, 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, query: int) -> NDArray[np.int64]:
        rows = self.rows[query]
        negatives = rows[self.labels[rows] == 0]
        if len(negatives) <= self.most:
            return rows
        drawn = np.random.default_rng((self.seed, self.epoch, query)).choice(negatives, self.most, replace=False)
        return np.concatenate([rows[self.labels[rows] > 0], np.sort(drawn)])


class QueryBatches:
    """Puts the pairs of several queries into one batch, cut by length into parts that waste little on padding."""

    def __init__(self, data: JudgedSet, encoder: CrossEncoder, budget: int) -> None:
        self.data, self.tokenizer, self.budget = data, encoder.tokenizer, budget

    def __call__(self, items: Iterable[NDArray[np.int64]]) -> TeacherBatch:
        """Collate the rows of some queries."""
        rows = np.concatenate(list(items))
        encoded = [self.data.encoded[row] for row in rows]
        parts = list(token_budget(lengths(encoded), self.budget))
        order = rows[np.concatenate(parts)]
        return {
            "parts": [
                dict(self.tokenizer.pad([encoded[place] for place in places], return_tensors="pt")) for places in parts
            ],
            "labels": torch.from_numpy(self.data.labels[order]),
            "guides": torch.from_numpy(self.data.guides[order]),
            "queries": torch.from_numpy(self.data.queries[order]),
        }
