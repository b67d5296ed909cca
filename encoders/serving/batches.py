"""Ragged token ids to padded batches of about equal cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


def pad(ids: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Stack ragged ids ``(tokens, …)`` into ``(batch, longest, …)`` int64, with a ``(batch, longest)`` float32 mask."""
    longest = max(len(row) for row in ids)
    padded = np.zeros((len(ids), longest, *ids[0].shape[1:]), dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.float32)
    for place, row in enumerate(ids):
        padded[place, : len(row)] = row
        mask[place, : len(row)] = 1.0
    return padded, mask


def token_budget(lengths: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Split texts into batches, shortest first, none above ``budget`` tokens with its padding (or one text alone).

    lengths: ``(n,)`` tokens of each text. Yields the places of one batch's texts at a time.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    for place in range(1, len(order) + 1):
        full = place == len(order) or (place + 1 - start) * lengths[order[place]] > budget
        if full:
            yield order[start:place]
            start = place
