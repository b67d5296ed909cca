"""WordPiece through the ``tokenizers`` library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from ...errors import ModelError
from .texts import require_texts

HEAD = 16
"""Characters a token that are tokenised first; the rest of a text only where those do not fill it."""


class WordPieceTokenizer:
    """Texts to WordPiece ids, with the special tokens that ``tokenizer.json`` itself puts around them.

    path: the file. longest: tokens a text keeps, special ones included.

    Raises ModelError, naming the file, when it cannot be read, when it puts no special token around a text (an empty
    text would then have no vector), and when ``longest`` leaves no room beside those.
    """

    def __init__(self, path: Path, longest: int) -> None:
        if not path.is_file():
            raise ModelError(f"{path} is missing: copy the model folder whole")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ModelError(f"{path}: not a tokenizer file ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if not (marks := len(self._tokenizer.encode("").ids)):
            raise ModelError(f"{path} puts no special tokens around a text: an empty text would have no vector")
        if longest <= marks:  # the library would then cut nothing at all
            raise ModelError(f"{path} puts {marks} special tokens around a text: {longest} tokens leave it no room")
        self._tokenizer.enable_truncation(longest)
        self.longest = longest
        self._splits_at_spaces = isinstance(self._tokenizer.normalizer, BertNormalizer) and isinstance(
            self._tokenizer.pre_tokenizer, BertPreTokenizer
        )

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Give each text's ids, ``(tokens,)`` int64: of an empty text the special tokens alone.

        Raises InvalidInputError for what is no text.
        """
        require_texts(texts)
        heads = [self._head(text) for text in texts]
        ids = self._ids(heads)
        short = [
            place for place, row in enumerate(ids) if len(heads[place]) < len(texts[place]) and len(row) < self.longest
        ]
        for place, row in zip(short, self._ids([texts[place] for place in short]), strict=True):
            ids[place] = row
        return ids

    def breaks(self, word: str) -> bool:
        """Whether the vocabulary knows a word in pieces only."""
        return _pieces(self._tokenizer, word) > 1

    def _head(self, text: str) -> str:
        """The text up to a space behind ``HEAD`` characters a token at most.

        BERT's normaliser looks at single characters and its words end at spaces, so where the head alone has
        ``longest`` tokens they are the whole text's.
        """
        limit = HEAD * self.longest
        if not self._splits_at_spaces or len(text) <= limit:
            return text
        end = text.rfind(" ", 0, limit)
        return text[:end] if end > 0 else text

    def _ids(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        return [np.array(encoding.ids, dtype=np.int64) for encoding in self._tokenizer.encode_batch_fast(list(texts))]


@lru_cache(maxsize=1 << 16)
def _pieces(tokenizer: Tokenizer, word: str) -> int:
    return len(tokenizer.encode(word, add_special_tokens=False).ids)
