"""Which tokeniser a side of a model reads its texts with."""

from __future__ import annotations

from pathlib import Path

from ...errors import ModelError
from ..config import Side, TwinConfig
from .trigrams import TrigramTokenizer
from .wordpiece import WordPieceTokenizer

Tokenizer = TrigramTokenizer | WordPieceTokenizer


def tokenizer_of(config: TwinConfig, side: Side, vocabulary: Path | None) -> Tokenizer:
    """The tokeniser of one side, cutting texts at that side's length.

    vocabulary: the ``tokenizer.json`` of a WordPiece tower; not read for trigrams.

    Raises ModelError when a WordPiece tower has no vocabulary, or one of another size than its token table.
    """
    tower, longest = config.tower_of(side), config.tokens_of(side)
    if tower.tokenizer == "trigrams":
        return TrigramTokenizer(longest, marked=tower.pooling == "cls")
    if vocabulary is None:
        raise ModelError("WordPiece needs a vocabulary: name a checkpoint or a teacher that has one")
    tokenizer = WordPieceTokenizer(vocabulary, longest)
    if tokenizer.vocab_size != tower.vocab_size:
        raise ModelError(
            f"{vocabulary} has {tokenizer.vocab_size} tokens, config.json says {tower.vocab_size}: "
            "copy the model folder again"
        )
    return tokenizer
