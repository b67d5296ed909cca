"""Texts to words and term ids, for the lexical part of a score: folded as Unicode says, stemmed in a language.

Chinese, Japanese, Thai and their like write no spaces: a run of such letters is told apart by its pairs of neighbours,
as search engines do. Letters keep their marks, so that words of Indic scripts stay whole.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import import_module
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidInputError

LANGUAGES = {
    "ar": "arabic",
    "ca": "catalan",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "eu": "basque",
    "fi": "finnish",
    "fr": "french",
    "ga": "irish",
    "hi": "hindi",
    "hu": "hungarian",
    "hy": "armenian",
    "id": "indonesian",
    "it": "italian",
    "lt": "lithuanian",
    "ne": "nepali",
    "nl": "dutch",
    "no": "norwegian",
    "pt": "portuguese",
    "ro": "romanian",
    "ru": "russian",
    "sr": "serbian",
    "sv": "swedish",
    "ta": "tamil",
    "tr": "turkish",
    "yi": "yiddish",
}
"""ISO 639-1 codes of the languages that words can be stemmed in, and Snowball's names of them."""

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana, ideographs."""
_RUNS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
_MARK_BLOCKS = (
    *((0x300, 0x1DFF), (0x20D0, 0x20FF), (0x2CEF, 0x309A), (0xA66F, 0xABED), (0xFB1E, 0xFE2F), (0x101FD, 0x11EF6)),
    *((0x16AF0, 0x16FF1), (0x1BC9D, 0x1BC9E), (0x1CF00, 0x1E94A), (0xE0100, 0xE01EF)),
)
"""Where Unicode has combining marks; looking at every character takes longer than encoding a query."""
_STEMS = 1 << 18
"""Stems and term ids that are remembered."""


class WordAnalyser:
    """Words of texts, the same for documents and queries.

    language: as ISO 639-1 names it (``en``), to stem words with Snowball's stemmer; None leaves them whole.

    Raises InvalidInputError for a language that there is no stemmer for.
    """

    def __init__(self, language: str | None = None) -> None:
        self.language = language
        self._stem = _stemmer(language)

    def words(self, text: str) -> list[str]:
        """The words of a text in its order, folded and stemmed; none of an empty one.

        Example: ``WordAnalyser("en").words("Straßen, SERVICES 中文字") == ["strassen", "servic", "中文", "文字"]``
        """
        folded = fold(text)
        if folded.isascii():
            return [self._stem(word) for word in _ASCII_WORD.findall(folded)]
        return [term for word in _word().findall(folded) for term in self._terms_of(word)]

    def terms(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.uint16]]:
        """The distinct terms of a text: ids ``(t,)`` uint32, ascending, and how often it says each, ``(t,)`` uint16."""
        ids = np.fromiter(map(term_id, self.words(text)), dtype=np.uint32)
        terms, counts = np.unique(ids, return_counts=True)
        return terms, np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)

    def _terms_of(self, word: str) -> Iterator[str]:
        for run in _RUNS.findall(word):
            if not _is_unspaced(run):
                yield self._stem(run)
            elif len(run) == 1:
                yield run
            else:
                yield from (run[place : place + 2] for place in range(len(run) - 1))


def fold(text: str) -> str:
    """A text without differences of case, width and composition: NFKC of its full case folding (Unicode 3.13, D146)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def word_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where each word of a text begins and ends, in characters; of unspaced writing, two letters count as a word."""
    for match in _word().finditer(text):
        start = match.start()
        for unspaced, letters in groupby(match[0], _is_unspaced):
            length = sum(1 for _ in letters)
            step = 2 if unspaced else length
            for place in range(start, start + length, step):
                yield place, min(place + step, start + length)
            start += length


@lru_cache(maxsize=_STEMS)
def term_id(word: str) -> int:
    """A word's number: 32 bits of BLAKE2b; of a million words about a hundred share theirs with another one."""
    return int.from_bytes(blake2b(word.encode(), digest_size=4).digest(), "little")


def check_language(language: str) -> str:
    """Give a language back; raises InvalidInputError where there is no stemmer for it."""
    if language not in LANGUAGES:
        raise InvalidInputError(f"no stemmer for the language {language!r}: use one of {', '.join(LANGUAGES)}, or none")
    return language


@cache
def _stemmer(language: str | None) -> Callable[[str], str]:
    if language is None:
        return str
    name = LANGUAGES[check_language(language)]
    # By its module: the package itself hands out PyStemmer's, of whatever version, where that is installed.
    kind = getattr(import_module(f"snowballstemmer.{name}_stemmer"), f"{name.capitalize()}Stemmer")
    own = threading.local()  # a stemmer keeps the word that it works on

    @lru_cache(maxsize=_STEMS)
    def stem(word: str) -> str:
        if not hasattr(own, "stemmer"):
            own.stemmer = kind()
        return str(own.stemmer.stemWord(word))

    return stem


def _is_unspaced(letters: str) -> bool:
    return bool(_UNSPACED_LETTER.match(letters))


_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")


@lru_cache(maxsize=1)
def _word() -> re.Pattern[str]:
    r"""Letters, digits and marks: ``\w`` alone knows no marks, and would cut words at them."""
    every = (chr(code) for first, last in _MARK_BLOCKS for code in range(first, last + 1))
    marks = "".join(mark for mark in every if unicodedata.category(mark)[0] == "M")
    return re.compile(rf"[\w{marks}]+")
