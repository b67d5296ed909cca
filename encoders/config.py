"""What a model is: the part of ``config.json`` that training writes and serving reads."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import InvalidInputError, ModelError

Side = Literal["query", "document"]
SIDES: tuple[Side, Side] = ("query", "document")

FORMAT_VERSION = 1
"""Version of the model folder; a newer one is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerConfig:
    """The shape of one tower (paper.md §1; defaults are the paper's).

    tokenizer: ``trigrams`` (one position a word, the sum of its letter-trigram vectors) or ``wordpiece``.
    vocab_size: rows of the token table, padding included.
    embedding_size: width of the token table; a linear map follows where it differs from ``hidden_size``.
    embedding_norm: layer normalisation after the embedding sum, as BERT has and TwinBERT's trigram input has not.
    pooling: ``weighted`` average with learned weights (the paper's), the first position (``cls``), or the ``mean``.
    skip: add a second weighted average, taken over the token table itself, to the pooled states.
    dimension: length of the unit vector that leaves the tower; a linear map leads to it from another hidden size.
    tanh: bound that map's output by tanh before it is normalised (paper.md §2).
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
    pooling: Literal["weighted", "cls", "mean"] = "weighted"
    skip: bool = False
    dimension: int = 512
    tanh: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.hidden_size % self.heads:
            raise ModelError(f"hidden_size {self.hidden_size} is not a multiple of heads {self.heads}")
        if self.layers < 1 or self.max_tokens < 1:
            raise ModelError("a tower needs at least one layer and one token")
        if self.pooling == "cls" and self.tokenizer == "trigrams" and self.vocab_size < 49_287:
            raise ModelError("cls pooling puts a mark before the words: trigrams then need vocab_size 49287")

    @property
    def projects(self) -> bool:
        """Whether a linear map leads from the pooled states to the vector."""
        return self.skip or self.tanh or self.dimension != self.hidden_size


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossingConfig:
    """The residual crossing: ``w·(F(x) + x)`` of a query and a document vector combined into x (paper.md §3.2).

    combination: ``max`` (the paper's), ``product`` (both element by element) or ``concat``.
    residual: F is ``linear`` (the paper's), ``relu`` (of a linear map), or a ``bottleneck`` of two linear maps with
    a ReLU between them and another over the sum.
    width: of the bottleneck.
    cosine: add the cosine crossing's logit; False is the paper's own score, which a head on frozen vectors does
    worse with.

    Raises ModelError for ``concat`` with ``linear``, which gives every query the same order of documents.
    """

    combination: Literal["max", "product", "concat"] = "max"
    residual: Literal["linear", "relu", "bottleneck"] = "linear"
    width: int = 64
    cosine: bool = True

    def __post_init__(self) -> None:
        if self.combination == "concat" and self.residual == "linear":
            raise ModelError(
                "concat with a linear residual gives every query the same order of documents: "
                "use relu or bottleneck, or combine by max or product"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What a candidate's score is made of: ``cosine·c + lexical·BM25 + head·residual``, on raw scores.

    segments: share of the best segment's cosine in c, ``(1 − segments)·cosine(document) + segments·max over segments``;
        a document without segments keeps its own.
    unfamiliar: how much more words count in a query that the model does not know well: ``lexical`` is multiplied by
        ``1 + unfamiliar·share`` of the query's words that its tokeniser breaks up (rare names, codes, other languages).
    head: of the residual head as the model serves it, in units of the cosine.

    Raw scores keep how sure each part is, which ranks and per-query scaling destroy (docs/quality.md).

    Raises InvalidInputError for a weight that is negative or not finite, a share above 1, and for no weight at all.
    """

    cosine: float = 1.0
    lexical: float = 0.025
    segments: float = 0.2
    head: float = 1.0
    unfamiliar: float = 2.0

    def __post_init__(self) -> None:
        for name in ("cosine", "lexical", "segments", "head", "unfamiliar"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise InvalidInputError(f"the weight {name} must be a number of at least 0, not {getattr(self, name)}")
        if self.segments > 1:
            raise InvalidInputError(f"segments is a share of the cosine, at most 1, not {self.segments}")
        if not self.cosine + self.lexical + self.head:
            raise InvalidInputError("all weights are 0: nothing would tell one document from another")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinConfig:
    """A whole model: its tower shapes, whether both sides share one, and how much of a text each side reads.

    tower: of documents, and of queries too unless ``query_tower`` gives them another (asymmetric towers).
    shared: one set of weights serves both sides.
    crossing: the residual crossing; None for a model that serves the cosine alone.
    query_tokens, document_tokens: texts are cut at this many tokens (words, for trigrams).
    head_share: share of the trained residual head that is served; a head trained on few pairs ranks safest shrunk.
    weights: what a candidate's score is made of; None for the defaults, or for the head alone where the crossing is the
        paper's own.
    language: of its texts, as ISO 639 names it (``en``); tells how words are stemmed. None where it is not known.
    space: fingerprint of what shapes a document vector; empty until the model is saved.
    files: checksum of every file that serving reads, by its path in the folder.

    Raises ModelError for towers that cannot stand side by side.
    """

    tower: TowerConfig
    query_tower: TowerConfig | None = None
    shared: bool = True
    crossing: CrossingConfig | None = field(default_factory=CrossingConfig)
    query_tokens: int = 16
    document_tokens: int = 32
    head_share: float = 1.0
    weights: Weights | None = None
    language: str | None = None
    space: str = ""
    files: dict[str, str] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.query_tower is not None:
            self._check_asymmetric(self.query_tower)
        for side in SIDES:
            tokens, longest = self.tokens_of(side), self.tower_of(side).max_tokens
            if tokens > longest:
                raise ModelError(f"texts of {tokens} tokens do not fit the {side} tower's max_tokens={longest}")

    def _check_asymmetric(self, query: TowerConfig) -> None:
        if self.shared:
            raise ModelError("a query_tower of its own cannot be shared: say shared = false")
        if query.dimension != self.tower.dimension:
            raise ModelError(
                f"the query tower gives {query.dimension} dimensions, the document tower {self.tower.dimension}"
            )
        if query.tokenizer == self.tower.tokenizer == "wordpiece" and query.vocab_size != self.tower.vocab_size:
            raise ModelError("both WordPiece towers read one tokenizer.json: give them the same vocab_size")

    def tower_of(self, side: Side) -> TowerConfig:
        """The shape of one side's tower."""
        return self.query_tower if side == "query" and self.query_tower is not None else self.tower

    def tokens_of(self, side: Side) -> int:
        """How many tokens of a text one side reads."""
        return self.query_tokens if side == "query" else self.document_tokens

    @property
    def served_weights(self) -> Weights:
        """What a candidate's score is made of, where the caller does not say otherwise."""
        if self.weights is not None:
            return self.weights
        if self.crossing is not None and not self.crossing.cosine:
            return Weights(cosine=0.0, lexical=0.0, segments=0.0)
        return Weights(head=0.0 if self.crossing is None else 1.0)

    @property
    def towers(self) -> Literal["shared", "separate", "asymmetric"]:
        """How the two towers stand to each other."""
        if self.query_tower is not None:
            return "asymmetric"
        return "shared" if self.shared else "separate"


def read_config(path: Path) -> TwinConfig:
    """Read ``config.json``.

    Raises ModelError, naming the file, when it is missing, malformed or of a newer format.
    """
    try:
        config = msgspec.json.decode(path.read_bytes(), type=TwinConfig)
    except FileNotFoundError:
        raise ModelError(f"{path.parent} is not a twinbert model folder: it has no {path.name}") from None
    except (msgspec.MsgspecError, OSError) as error:
        remedy = _import_it(path)
        raise ModelError(f"{path}: not a twinbert model's configuration ({error}){remedy}") from error
    if config.format_version > FORMAT_VERSION:
        raise ModelError(f"{path}: format {config.format_version} is newer than this twinbert reads: upgrade twinbert")
    return config


def _import_it(path: Path) -> str:
    foreign = (path.parent / "modules.json").is_file()
    return ": a sentence-transformers model is made one by twinbert model import" if foreign else ""


def write_config(config: TwinConfig, path: Path) -> None:
    """Write ``config.json``, readable, keys in the order of the dataclasses."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
