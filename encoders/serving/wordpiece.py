"""WordPiece through the ``tokenizers`` library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ...errors import ModelError


class WordPieceTokenizer:
    """Texts to WordPiece ids, with the special tokens that ``tokenizer.json`` itself puts around them.

    path: the file. longest: tokens a text keeps, special ones included.

    Raises ModelError, naming the file, when it cannot be read.
    """

    def __init__(self, path: Path, longest: int) -> None:
        if not path.is_file():
            raise ModelError(f"{path} is missing: copy the model folder whole")
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise ModelError(f"{path}: not a tokenizer file ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(longest)

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Give each text's ids, ``(tokens,)`` int64."""
        return [np.array(encoding.ids, dtype=np.int64) for encoding in self._tokenizer.encode_batch_fast(list(texts))]
