"""Training pairs: read, tokenised once, joined with their targets, cut into batches of one token budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import InvalidInputError
from ..serving.batches import token_budget
from ..serving.trigrams import TrigramTokenizer
from ..serving.wordpiece import WordPieceTokenizer


class Pair(msgspec.Struct, frozen=True):
    """A query beside a document.

    score: the teacher's probability that they match. label: the judgement, 1 for relevant and 0 for not.
    """

    query: str
    document: str
    score: float | None = None
    label: float | None = None


def read_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Read JSONL lines of ``{"query", "document"[, "score"][, "label"]}``; other keys are left alone.

    limit: read at most so many.

    Raises InvalidInputError naming file and line.
    """
    decoder = msgspec.json.Decoder(Pair)
    pairs: list[Pair] = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if limit is not None and len(pairs) == limit:
                    break
                pairs.append(_decode(decoder, line, path, number))
    except OSError as error:
        raise InvalidInputError(f"cannot be read ({error.strerror}): name a JSONL file of pairs", path=path) from error
    return pairs


def _decode(decoder: msgspec.json.Decoder[Pair], line: bytes, path: Path, number: int) -> Pair:
    try:
        pair = decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f'not a pair ({error}): write {{"query": …, "document": …}} on each line'
        raise InvalidInputError(message, path=path, line=number) from error
    for name, value in (("score", pair.score), ("label", pair.label)):
        if value is not None and not 0 <= value <= 1:
            raise InvalidInputError(f"{name} {value} is not a probability", path=path, line=number)
    return pair


@dataclass(frozen=True)
class EncodedTexts:
    """Tokenised texts, one after the other, beside the vectors they are to get.

    flat: ``(tokens,)`` int32, or ``(words, 20)`` for trigrams. starts: ``(n + 1,)`` int64.
    targets: ``(n, dimension)`` float16 unit rows; ``(0, 0)`` where there is no teacher of vectors.
    """

    flat: NDArray[np.int32]
    starts: NDArray[np.int64]
    targets: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)


def encode_texts(
    tokenizer: TrigramTokenizer | WordPieceTokenizer,
    texts: Sequence[str],
    targets: NDArray[np.float16] | None,
) -> EncodedTexts:
    """Tokenise texts once, for all epochs."""
    ids = [
        row.astype(np.int32)
        for start in range(0, len(texts), 8192)
        for row in tokenizer.encode(texts[start : start + 8192])
    ]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in ids])]).astype(np.int64)
    return EncodedTexts(
        np.concatenate(ids), starts, targets if targets is not None else np.empty((0, 0), dtype=np.float16)
    )


def pad(texts: EncodedTexts, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Pad some texts into ``(batch, longest, …)`` int64 ids and a ``(batch, longest)`` float32 mask."""
    lengths = texts.lengths[rows]
    ids = np.zeros((len(rows), lengths.max(), *texts.flat.shape[1:]), dtype=np.int64)
    mask = (np.arange(lengths.max()) < lengths[:, None]).astype(np.float32)
    for place, row in enumerate(rows):
        ids[place, : lengths[place]] = texts.flat[texts.starts[row] : texts.starts[row + 1]]
    return torch.from_numpy(ids), torch.from_numpy(mask)


def padded(texts: EncodedTexts, rows: NDArray[np.int64]) -> Part:
    """Some texts as a batch holds them: ids, mask, and the teacher's vectors where there are any."""
    ids, mask = pad(texts, rows)
    if not len(texts.targets):
        return {"ids": ids, "mask": mask}
    return {"ids": ids, "mask": mask, "vectors": torch.from_numpy(texts.targets[rows].astype(np.float32))}


@dataclass(frozen=True)
class TrainingSet:
    """Pairs as row numbers into the tokenised texts; equal texts share one row.

    queries, documents: ``(pairs,)`` int64 rows.
    scores, labels: ``(pairs,)`` float32 teacher's probabilities and judgements; NaN where there are none.
    """

    query_texts: EncodedTexts
    document_texts: EncodedTexts
    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[np.float32]

    def held_apart(self, count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the pairs to train on, and of at least ``count`` pairs of whole queries to measure on."""
        sizes = np.bincount(self.queries)
        order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes))
        needed = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1 if count else 0
        apart = np.isin(self.queries, order[:needed])
        return np.flatnonzero(~apart), np.flatnonzero(apart)


Part = dict[str, Tensor]
Batch = dict[str, Part]
"""``queries`` and ``documents``: distinct texts (ids, mask and a teacher's vectors); ``pairs``: which belong together
and what is known of them."""


class BatchedPairs(torch.utils.data.Dataset[Batch]):
    """A data set whose items are whole batches: about equally long pairs, ``budget`` tokens with their padding.

    grouped: keep a query's documents in one batch, as far as the budget goes.
    """

    def __init__(self, data: TrainingSet, places: NDArray[np.int64], budget: int, *, grouped: bool = False) -> None:
        self.data = data
        lengths = data.query_texts.lengths[data.queries[places]] + data.document_texts.lengths[data.documents[places]]
        batches = grouped_budget(lengths, data.queries[places], budget) if grouped else token_budget(lengths, budget)
        self.batches = [places[batch] for batch in batches]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        places, data = self.batches[index], self.data
        queries, query_places = np.unique(data.queries[places], return_inverse=True)
        documents, document_places = np.unique(data.documents[places], return_inverse=True)
        pairs = {
            "queries": torch.from_numpy(query_places),
            "documents": torch.from_numpy(document_places),
            "scores": torch.from_numpy(data.scores[places]),
            "labels": torch.from_numpy(data.labels[places]),
        }
        return {
            "queries": padded(data.query_texts, queries),
            "documents": padded(data.document_texts, documents),
            "pairs": pairs,
        }


def grouped_budget(lengths: NDArray[np.int64], groups: NDArray[np.int64], budget: int) -> Iterator[NDArray[np.int64]]:
    """Split like ``token_budget``, but groups stay whole: groups of short texts first, each with its longest's padding.

    lengths, groups: ``(n,)``. A group that is itself above the budget is split.
    """
    _, members = np.unique(groups, return_inverse=True)
    longest = np.zeros(members.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(longest, members, lengths)
    batch: list[NDArray[np.int64]] = []
    size = 0
    by_group = np.split(np.argsort(members, kind="stable"), np.cumsum(np.bincount(members))[:-1])
    for group in np.argsort(longest, kind="stable"):
        places = by_group[group]
        if batch and (size + len(places)) * longest[group] > budget:
            yield np.concatenate(batch)
            batch, size = [], 0
        if len(places) * longest[group] > budget:
            yield from (places[part] for part in token_budget(lengths[places], budget))
        else:
            batch.append(places)
            size += len(places)
    if batch:
        yield np.concatenate(batch)
