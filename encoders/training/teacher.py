"""A bi-encoder teacher: the vectors that a student's own are drawn towards.

Vectors are kept on disk by content, never by position: a part is named by the hash of its texts and of the teacher,
so a killed run loses at most one part, and a changed corpus or teacher never meets old vectors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize
from transformers import AutoModel

from ...errors import ModelError
from ..folder import fingerprint
from ..serving.batches import pad, token_budget
from ..serving.wordpiece import WordPieceTokenizer

PART_TEXTS = 8_192
"""Texts in one cached part: what a killed run can lose."""
BATCH_TOKENS = 4_096
"""Tokens in one batch, padding included."""


class BiEncoderTeacher:
    """A sentence-transformers folder of the BERT family with mean pooling, read by transformers.

    source: the folder. longest: texts are cut at this many tokens.

    Raises ModelError for a folder that is not one, or that pools otherwise.
    """

    def __init__(self, source: Path, longest: int = 256) -> None:
        _require_mean_pooling(source)
        self.tokenizer = WordPieceTokenizer(source / "tokenizer.json", longest)
        self.model = AutoModel.from_pretrained(source, local_files_only=True).eval()
        self.source, self.longest = source, longest
        weights, vocabulary = ((source / name).read_bytes() for name in ("model.safetensors", "tokenizer.json"))
        self.fingerprint = fingerprint([weights, vocabulary, str(longest).encode()])

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float16]:
        """Encode texts: ``(n, dimension)`` float16, unit rows, in the order of ``texts``."""
        ids = self.tokenizer.encode(texts)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float16)
        for places in token_budget(lengths, BATCH_TOKENS):
            tokens, mask = (torch.from_numpy(array) for array in pad([ids[place] for place in places]))
            with torch.inference_mode():
                states = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
                means = (states * mask.unsqueeze(-1)).sum(1) / mask.sum(1, keepdim=True)
            vectors[places] = normalize(means).numpy()
        return vectors


def _require_mean_pooling(source: Path) -> None:
    pooling = source / "1_Pooling" / "config.json"
    needed = (pooling, source / "model.safetensors", source / "tokenizer.json")
    if not all(path.is_file() for path in needed):
        raise ModelError(
            f"{source} is not a sentence-transformers folder: name one with model.safetensors and 1_Pooling"
        )
    if not json.loads(pooling.read_text(encoding="utf-8")).get("pooling_mode_mean_tokens"):
        raise ModelError(f"{source} does not pool by the mean: only mean-pooling teachers are supported")


def teacher_vectors(
    teacher: BiEncoderTeacher,
    texts: Sequence[str],
    cache: Path,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float16]:
    """The teacher's vectors of ``texts``, ``(n, dimension)`` float16, made once and kept under ``cache``."""
    cache.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), PART_TEXTS):
        part = texts[start : start + PART_TEXTS]
        path = cache / f"{_part_name(teacher.fingerprint, part)}.npy"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.save(file, teacher.embed(part))
            partial.replace(path)
        parts.append(np.load(path, mmap_mode="r"))
        if progress:
            progress(min(start + PART_TEXTS, len(texts)), len(texts))
    return np.concatenate(parts)


def _part_name(fingerprint: str, texts: Sequence[str]) -> str:
    digest = blake2b(fingerprint.encode(), digest_size=16)
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()
