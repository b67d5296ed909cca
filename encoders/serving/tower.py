"""One tower on the CPU: texts to unit vectors by ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ...errors import ModelError
from ..config import TowerConfig
from .batches import pad, token_budget
from .tokenizing import Tokenizer

BATCH_TOKENS = 1_024
"""Tokens in one batch, padding included: bounds memory, and keeps the working set within the caches."""


class OnnxTower:
    """A tower's graph beside the tokeniser of one side; both sides of a shared tower use one session.

    session: made by ``load_session``. dimension: length of a vector. threads: batches encoded at once.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, tokenizer: Tokenizer, dimension: int, threads: int
    ) -> None:
        self.tokenizer, self.dimension, self.threads = tokenizer, dimension, threads
        self._session = session

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dimension)`` float32 unit rows, in order, none dependent on its neighbours.

        Raises InvalidInputError for what is no text.
        """
        ids = self.tokenizer.encode(texts)
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)

        def fill(places: NDArray[np.int64]) -> None:
            tokens, mask = pad([ids[place] for place in places])
            vectors[places] = self._session.run(["vectors"], {"ids": tokens, "mask": mask})[0]

        batches = list(token_budget(lengths, BATCH_TOKENS))
        if self.threads == 1 or len(batches) < 2:
            for places in batches:
                fill(places)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(fill, reversed(batches)))
        return vectors


def load_session(path: Path, config: TowerConfig) -> onnxruntime.InferenceSession:
    """Load a tower's graph; each of its calls runs on the thread that makes it.

    Raises ModelError, naming the file, when it names further files, when ONNX Runtime cannot load it (operators of
    somebody's own among the reasons: no library of such is ever registered), or when it is the graph of another tower
    than the configuration's: other inputs, other vectors.
    """
    _refuse_external_data(path)
    try:
        session = onnxruntime.InferenceSession(path, _options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from error
    _require_interface(path, session, config)
    found = session.get_outputs()[0].shape[-1]
    if found != config.dimension:
        raise ModelError(
            f"{path} gives {found} dimensions, config.json says {config.dimension}: export the model again"
        )
    return session


def _refuse_external_data(path: Path) -> None:
    """Weights in a file of their own are found by a path that a stranger chose; the key of one is ``location``."""
    if not path.stat().st_size:  # which cannot be mapped
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as graph:
        if graph.find(b"location") >= 0:
            raise ModelError(f"{path} names further files for its weights: export the model again, into one file")


def _require_interface(path: Path, session: onnxruntime.InferenceSession, config: TowerConfig) -> None:
    found = {part.name: (part.type, len(part.shape)) for part in [*session.get_inputs(), *session.get_outputs()]}
    ids = 3 if config.tokenizer == "trigrams" else 2
    wanted = {"ids": ("tensor(int64)", ids), "mask": ("tensor(float)", 2), "vectors": ("tensor(float)", 2)}
    if found != wanted:
        told = ", ".join(f"{name} {kind} of rank {rank}" for name, (kind, rank) in found.items())
        raise ModelError(
            f"{path} is not the graph of a {config.tokenizer} tower: it has {told}; export the model again"
        )


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # the arena keeps the largest batch ever seen
    options.log_severity_level = 3
    return options
