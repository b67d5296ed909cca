"""The whole model at serving time: queries and documents to vectors, vectors to scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from ...errors import ModelError
from ..config import SIDES, Side, TwinConfig, Weights, read_config
from ..folder import STARTER, ModelFolder, Precision, locate
from ..hub import PushOptions, copy_model, push_model
from .canaries import check_canaries
from .crossing import ResidualCrossing, read_crossing
from .tokenizing import Tokenizer, tokenizer_of
from .tower import OnnxTower, load_session
from .words import word_spans


class TwinEncoder:
    """A TwinBERT ready to serve, without torch. Make one with ``from_pretrained``.

    source: what ``from_pretrained`` takes to load this model again.
    folder: where its files are. space: fingerprint of the vector space that its documents live in.
    dimension: length of a vector.
    """

    def __init__(
        self,
        source: str,
        config: TwinConfig,
        towers: dict[Side, OnnxTower],
        crossing: ResidualCrossing | None,
        folder: ModelFolder,
    ) -> None:
        self.source, self.config, self.folder = source, config, folder
        self.space, self.dimension = config.space, config.tower.dimension
        self._towers, self._crossing = towers, crossing

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = STARTER,
        *,
        precision: Precision | None = None,
        threads: int = 1,
        revision: str | None = None,
        cache_dir: Path | None = None,
        local_files_only: bool = False,
        canaries: bool = True,
    ) -> TwinEncoder:
        """Load the ``starter`` model, a folder, or a Hugging Face hub id (downloaded unless ``local_files_only``).

        precision: ``int8`` where the folder has it, else ``fp32``, when None.
        threads: batches of texts encoded at once; a single query always runs on its caller's thread.
        canaries: encode the model's canary texts and compare them with their vectors at export, where it has them;
        the environment variable ``TWINBERT_CANARIES=off`` leaves that out too.

        Raises ModelError for a model that is not there, not whole, newer than this package, or that this machine
        computes otherwise than the one that exported it.
        """
        folder = locate(source, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
        config = read_config(folder.config)
        if not config.space:
            raise ModelError(f"{folder.config} names no vector space: export the model with this package")
        chosen = precision or _best_precision(folder, config)
        towers = _load_towers(folder, config, chosen, threads)
        if canaries and folder.name_of(folder.canaries) in config.files:
            folder.require_whole(folder.canaries, config.files)
            check_canaries(folder.canaries, towers, chosen)
        crossing = None
        if config.crossing is not None and "head.safetensors" in config.files:
            folder.require_whole(folder.head, config.files)
            crossing = read_crossing(folder.head, config.tower.dimension, config.crossing)
        name = str(folder.root) if Path(source).is_dir() and str(source) != STARTER else str(source)
        return cls(name, config, towers, crossing, folder)

    def save_pretrained(self, folder: str | Path) -> None:
        """Copy the model's files, and nothing that lies beside them, to a new folder, or over a copy of the same model.

        Raises ModelError, before anything is copied, for files that are not the ones that its ``config.json`` names,
        and for a folder that holds something else.
        """
        copy_model(self.folder, Path(folder))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        revision: str | None = None,
        private: bool | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload a twinbert model",
        token: str | None = None,
    ) -> str:
        """Push the model's files to a Hugging Face repository, made where it is not there; gives the commit's address.

        revision: the branch, made where it is not there; the main one when None.
        private: of a repository that is made. create_pr: open a pull request, and leave the branch as it is.
        token: that of the last login when None.

        Raises ModelError for a model that is not whole, and for what the hub refuses.
        """
        options = PushOptions(
            revision=revision, private=private, create_pr=create_pr, commit_message=commit_message, token=token
        )
        return push_model(self.folder, repo_id, options)

    @property
    def has_head(self) -> bool:
        """Whether the model has a residual head; without one it serves the cosine alone."""
        return self._crossing is not None

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode queries: ``(n, dimension)`` float32 unit rows.

        Any text has a vector: an empty one that of an empty text. Raises InvalidInputError for what is no text.
        """
        return self._towers["query"].encode(texts)

    def encode_documents(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode documents: ``(n, dimension)`` float32 unit rows, each independent of the others.

        As ``encode_queries`` does.
        """
        return self._towers["document"].encode(texts)

    def score(self, query: NDArray[np.float32], documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score documents for a query from their vectors: the residual crossing's logits, or the cosine without a head.

        query: ``(dimension,)`` and documents: ``(n, dimension)``, float32 unit rows. Gives ``(n,)`` float32.
        """
        if self._crossing is None:
            cosines: NDArray[np.float32] = documents @ query
            return cosines
        return self._crossing.score(query, documents)

    @property
    def weights(self) -> Weights:
        """What a candidate's score is made of, as the model's ``config.json`` says."""
        return self.config.served_weights

    def unfamiliar(self, query: str) -> float:
        """Share of a query's words, 0 to 1, that the query tower's tokeniser breaks up: what the model knows little of.

        0 where words are told apart by their letters, or there are none.
        """
        broken = self._towers["query"].tokenizer.breaks
        found = [broken(query[start:end]) for start, end in word_spans(query)]
        return sum(found) / len(found) if found else 0.0

    def residual(self, query: NDArray[np.float32], documents: NDArray[np.float32]) -> NDArray[np.float32]:
        """The residual head alone, ``(n,)`` float32: in units of the cosine where the model's crossing adds one.

        query: ``(dimension,)`` and documents: ``(n, dimension)``, float32 unit rows. Without a head, zeros.
        """
        if self._crossing is None:
            return np.zeros(len(documents), dtype=np.float32)
        return self._crossing.residual(query, documents)


def _load_towers(folder: ModelFolder, config: TwinConfig, precision: Precision, threads: int) -> dict[Side, OnnxTower]:
    sessions: dict[Path, InferenceSession] = {}
    towers: dict[Side, OnnxTower] = {}
    for side in SIDES:
        path = folder.graph(side, precision, shared=config.shared)
        if path not in sessions:
            folder.require_whole(path, config.files)
            sessions[path] = load_session(path, config.tower_of(side))
        towers[side] = OnnxTower(sessions[path], _tokenizer(folder, config, side), config.tower.dimension, threads)
    return towers


def _best_precision(folder: ModelFolder, config: TwinConfig) -> Precision:
    return "int8" if folder.name_of(folder.graph("query", "int8", shared=config.shared)) in config.files else "fp32"


def _tokenizer(folder: ModelFolder, config: TwinConfig, side: Side) -> Tokenizer:
    if config.tower_of(side).tokenizer == "wordpiece":
        folder.require_whole(folder.tokenizer, config.files)
    return tokenizer_of(config, side, folder.tokenizer)
