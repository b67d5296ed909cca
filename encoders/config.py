"""What a model is: the part of ``config.json`` that training writes and serving reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import ModelError

FORMAT_VERSION = 1
"""Version of the model folder; a newer one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerConfig:
    """The shape of one tower (paper.md §1; defaults are the paper's).

    tokenizer: ``trigrams`` (one position a word, the sum of its letter-trigram vectors) or ``wordpiece``.
    vocab_size: rows of the token table, padding included.
    embedding_size: width of the token table; a linear map follows where it differs from ``hidden_size``.
    embedding_norm: layer normalisation after the embedding sum, as BERT has and TwinBERT's trigram input has not.
    skip: add a second weighted average, taken over the token table itself, to the pooled states.
    dimension: length of the unit vector that leaves the tower.
    """

    tokenizer: Literal["trigrams", "wordpiece"] = "trigrams"
    vocab_size: int = 49_286
    embedding_size: int = 512
    hidden_size: int = 512
    layers: int = 6
    heads: int = 8
    ffn_size: int = 512
    max_tokens: int = 32
    embedding_norm: bool = False
    skip: bool = False
    dimension: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise ModelError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        if self.layers < 1 or self.max_tokens < 1:
            raise ModelError("a tower needs at least one layer and one token")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig:
    """A whole model: its tower shape, whether both sides share one, and how much of a text each side reads.

    query_tokens, document_tokens: texts are cut at this many tokens (words, for trigrams).
    head_share: share of the trained residual head that is served; a head trained on few pairs ranks safest shrunk.
    space: fingerprint of what shapes a document vector; empty until the model is saved.
    files: checksum of every file that serving reads, by its path in the folder.
    """

    tower: TowerConfig
    shared: bool = True
    query_tokens: int = 16
    document_tokens: int = 32
    head_share: float = 1.0
    space: str = ""
    files: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if max(self.query_tokens, self.document_tokens) > self.tower.max_tokens:
            raise ModelError(f"texts of more than max_tokens={self.tower.max_tokens} tokens do not fit this tower")


def read_config(path: Path) -> TwinConfig:
    """Read ``config.json``.

    Raises ModelError, naming the file, when it is missing, malformed or of a newer format.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=TwinConfig)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is not a twinbert model folder: it has no {path.name}") from None
    except (msgspec.MsgspecError, OSError) as error:
        raise ModelError(f"{path}: not a twinbert model's configuration ({error})") from error
    if config.format_version > FORMAT_VERSION:
        raise ModelError(f"{path}: format {config.format_version} is newer than this twinbert reads: upgrade twinbert")
    return config


def write_config(config: TwinConfig, path: Path) -> None:
    """Write ``config.json``, readable, keys in the order of the dataclasses."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
