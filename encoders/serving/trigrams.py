"""Letter trigrams, TwinBERT's own tokenisation: one position a word, the sum of its trigrams (paper.md §1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .texts import require_texts

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
TRIGRAMS_PER_WORD = 20
"""A word's further trigrams are left out."""

START = 49_286
"""The id of the mark before the words, where a model pools by the first position; one past the trigrams."""


@lru_cache(maxsize=1)
def vocabulary() -> dict[str, int]:
    """Every trigram that a word can hold, numbered from 1; 0 is padding and the unknown.

    36³ inner, 36² at the start, 36² at the end, 36 of one letter, and ``###`` of the empty word: 49,285.
    """
    inner = ("".join(letters) for letters in product(LETTERS, repeat=3))
    pairs = ["".join(letters) for letters in product(LETTERS, repeat=2)]
    every = [
        *inner,
        *(f"#{pair}" for pair in pairs),
        *(f"{pair}#" for pair in pairs),
        *(f"#{letter}#" for letter in LETTERS),
        "###",
    ]
    return {trigram: number for number, trigram in enumerate(every, start=1)}


def words(text: str) -> list[str]:
    """Split a text as the paper's authors do: lower case, only ``a-z0-9`` and spaces kept, split at spaces.

    Other characters are deleted, not replaced: ``words("don't stop") == ["dont", "stop"]``.
    An empty text gives one empty word.
    """
    kept = re.sub(r"[^a-z0-9 ]", "", text.lower())
    return kept.split() or [""]


def trigrams(word: str) -> list[str]:
    """The trigrams of one word between boundary marks, as many as it has letters.

    Example: ``trigrams("hello") == ["#he", "hel", "ell", "llo", "lo#"]``; ``trigrams("") == ["###"]``.
    """
    marked = f"#{word or '#'}#"
    return [marked[i : i + 3] for i in range(len(marked) - 2)]


class TrigramTokenizer:
    """Texts to trigram ids.

    longest: positions a text keeps. marked: the first of them is a mark, for pooling by the first position.
    """

    def __init__(self, longest: int, *, marked: bool = False) -> None:
        self.longest, self.marked = longest, marked

    def encode(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Give each text's ids, ``(positions, 20)`` int64, 0 where a word has fewer trigrams.

        Tabs and line ends count as spaces here; the paper's rule alone would join the words around them. A text
        without any of ``a-z0-9`` is one empty word.

        Raises InvalidInputError for what is no text.
        """
        require_texts(texts)
        return [self._encode_one(" ".join(text.split())) for text in texts]

    def breaks(self, word: str) -> bool:  # noqa: ARG002 - as WordPiece's
        """Whether a word is broken up: none is known whole, so none is told from another."""
        return False

    def _encode_one(self, text: str) -> NDArray[np.int64]:
        known = vocabulary()
        kept = words(text)[: self.longest - self.marked]
        ids = np.zeros((self.marked + len(kept), TRIGRAMS_PER_WORD), dtype=np.int64)
        if self.marked:
            ids[0, 0] = START
        for row, word in zip(ids[self.marked :], kept, strict=True):
            numbers = [known.get(trigram, 0) for trigram in trigrams(word)[:TRIGRAMS_PER_WORD]]
            row[: len(numbers)] = numbers
        return ids
