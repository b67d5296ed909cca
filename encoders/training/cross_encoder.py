"""A cross-encoder: any Hugging Face sequence-pair classifier that says how surely a document answers a query."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from ...errors import InvalidInputError, ModelError
from ..folder import fingerprint
from ..serving.batches import token_budget
from .checkpoint import quiet

BATCH_TOKENS = 4_096
"""Tokens in one batch that is scored, padding included."""

EncodedPair = dict[str, list[int]]
"""One pair's ``input_ids``, ``attention_mask`` and, where the model has them, ``token_type_ids``."""


class CrossEncoder:
    """A sequence-pair classifier with its tokenizer; make one with ``load``.

    model, tokenizer: as transformers loads them. longest: pairs are cut at this many tokens, the longer text first;
    None for what the tokenizer names.
    """

    def __init__(self, model: Any, tokenizer: Any, longest: int | None = None) -> None:  # noqa: ANN401 - of many classes
        most = getattr(model.config, "max_position_embeddings", tokenizer.model_max_length)
        self.longest = min(tokenizer.model_max_length, most) if longest is None else longest
        if not 8 <= self.longest <= most:
            raise InvalidInputError(f"pairs of {longest} tokens: this model takes from 8 to {most}")
        self.model, self.tokenizer = model, tokenizer

    @classmethod
    def load(
        cls,
        source: str | Path,
        longest: int | None = None,
        *,
        trained: bool = True,
        attention: str | None = None,
        local_files_only: bool = False,
    ) -> CrossEncoder:
        """Load a folder or hub id, onto the GPU where there is one.

        trained: refuse a checkpoint without a trained classifier; otherwise it gets a new one of a single logit.
        attention: transformers' name of an implementation; its own choice when None. local_files_only: never ask the
        hub.

        Raises ModelError for what cannot be loaded, has no trained classifier or another than of one or two labels,
        InvalidInputError when the model does not take pairs so long.
        """
        try:
            with quiet():
                model, missing = _load_classifier(
                    source, attn_implementation=attention, local_files_only=local_files_only
                )
                tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local_files_only)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise ModelError(
                f"{source}: no sequence classifier that transformers can load ({_one_line(error)})"
            ) from error
        if trained and missing:
            raise ModelError(f"{source} has no trained classifier ({missing[0]} is missing): fine-tune it first")
        if model.config.num_labels not in {1, 2}:
            raise ModelError(f"{source} tells {model.config.num_labels} labels apart: name a classifier of one or two")
        return cls(model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer, longest)

    def save(self, folder: Path) -> None:
        """Write model and tokenizer, which then names ``longest``, as transformers does: safetensors and JSON."""
        self.tokenizer.model_max_length = self.longest
        with quiet():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)

    def encode(self, queries: Sequence[str], documents: Sequence[str]) -> list[EncodedPair]:
        """Tokenise pairs, without padding."""
        if not queries:
            return []
        fields = self.tokenizer(
            list(queries), list(documents), truncation="longest_first", max_length=self.longest, verbose=False
        )
        return [{name: values[place] for name, values in fields.items()} for place in range(len(queries))]

    def logits(self, pairs: Sequence[EncodedPair]) -> Tensor:
        """One batch's log-odds that the document answers the query: ``(pairs,)`` float32."""
        batch = self.tokenizer.pad(list(pairs), return_tensors="pt").to(self.model.device)
        return log_odds(self.model(**batch).logits)

    def score(self, queries: Sequence[str], documents: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities that the documents answer the queries: ``(n,)`` float64, in the order given."""
        pairs = self.encode(queries, documents)
        found = np.empty(len(pairs), dtype=np.float64)
        self.model.eval()
        for places in token_budget(lengths(pairs), BATCH_TOKENS):
            with torch.inference_mode():
                found[places] = torch.sigmoid(self.logits([pairs[place] for place in places]).double()).cpu().numpy()
        return found

    @property
    def fingerprint(self) -> str:
        """Names weights, vocabulary and length: scores of one fingerprint belong together."""
        parts = [str(self.longest).encode(), repr(sorted(self.tokenizer.get_vocab().items())).encode()]
        for name, tensor in sorted(self.model.state_dict().items()):
            parts += [name.encode(), tensor.cpu().float().numpy().tobytes()]
        return fingerprint(parts)


def log_odds(logits: Tensor) -> Tensor:
    """A classifier's output ``(pairs, 1 or 2)`` as the log-odds of a match, ``(pairs,)`` float32.

    Of two labels the second is the match; σ of their difference is its softmax.
    """
    logits = logits.float()
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


def lengths(pairs: Sequence[EncodedPair]) -> NDArray[np.int64]:
    """Tokens of each pair, ``(n,)``."""
    return np.array([len(pair["input_ids"]) for pair in pairs], dtype=np.int64)


def _load_classifier(source: str | Path, **given: Any) -> tuple[Any, list[str]]:  # noqa: ANN401 - transformers' own
    """The model, float32, and the names of its weights that the checkpoint does not have."""
    options: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32, **given}
    model, report = AutoModelForSequenceClassification.from_pretrained(source, output_loading_info=True, **options)
    missing = sorted(report["missing_keys"])
    if missing and model.config.num_labels != 1:
        model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=1, **options)
    return model, missing


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
