"""Training pairs: read, tokenised once, joined with their targets, cut into batches of one token budget."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A query beside a document, with the teacher's probability that they match where there is one."""

    query: str
    document: str
    score: float | None = None


def read_pairs(path: Path, limit: int | None = None) -> list[Pair]:
    """Read JSONL lines of ``{"query", "document"[, "score"]}``; other keys are left alone.

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
    if pair.score is not None and not 0 <= pair.score <= 1:
        raise InvalidInputError(f"score {pair.score} is not a probability", path=path, line=number)
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


@dataclass(frozen=True)
class TrainingSet:
    """Pairs as row numbers into the tokenised texts.

    queries, documents: ``(pairs,)`` int64 rows of ``texts``; equal texts share one row.
    scores: ``(pairs,)`` float32 teacher's probabilities; NaN where there are none.
    """

    query_texts: EncodedTexts
    document_texts: EncodedTexts
    queries: NDArray[np.int64]
    documents: NDArray[np.int64]
    scores: NDArray[np.float32]


Batch = dict[str, Tensor]


class BatchedPairs(torch.utils.data.Dataset[Batch]):
    """A data set whose items are whole batches: about equally long pairs, ``budget`` tokens with their padding."""

    def __init__(self, data: TrainingSet, places: NDArray[np.int64], budget: int) -> None:
        self.data = data
        lengths = data.query_texts.lengths[data.queries[places]] + data.document_texts.lengths[data.documents[places]]
        self.batches = [places[batch] for batch in token_budget(lengths, budget)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        places = self.batches[index]
        queries, documents = self.data.queries[places], self.data.documents[places]
        query_ids, query_mask = pad(self.data.query_texts, queries)
        document_ids, document_mask = pad(self.data.document_texts, documents)
        batch = {
            "query_ids": query_ids,
            "query_mask": query_mask,
            "document_ids": document_ids,
            "document_mask": document_mask,
        }
        batch["scores"] = torch.from_numpy(self.data.scores[places])
        if len(self.data.query_texts.targets):
            batch["query_targets"] = torch.from_numpy(self.data.query_texts.targets[queries].astype(np.float32))
            batch["document_targets"] = torch.from_numpy(self.data.document_texts.targets[documents].astype(np.float32))
        return batch
