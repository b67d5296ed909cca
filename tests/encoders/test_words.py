"""Words of the lexical score: folding, stems, unspaced writing, term ids."""

from __future__ import annotations

import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinbert.encoders.serving.words import LANGUAGES, WordAnalyser, _stemmer, fold, term_id, word_spans
from twinbert.errors import InvalidInputError

WHOLE = WordAnalyser()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n…—!", []),
        ("Straße STRASSE straße", ["strasse"] * 3),
        ("ＡＢＣ ﬁne ①", ["abc", "fine", "1"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),
        ("don't x_y v2.0", ["don", "t", "x_y", "v2", "0"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("東京都 a東京b 字", ["東京", "京都", "a", "東京", "b", "字"]),
        ("ไทย", ["ไท", "ทย"]),
        ("한국어 검색", ["한국어", "검색"]),
    ],
)
def test_words_are_folded_and_told_apart(text: str, words: list[str]) -> None:
    assert WHOLE.words(text) == words


@pytest.mark.parametrize(
    ("language", "text", "words"),
    [
        ("en", "The services were restarting", ["the", "servic", "were", "restart"]),
        ("de", "Häuser Häusern", ["haus", "haus"]),
        ("fr", "continuellement continuation", ["continuel", "continu"]),
    ],
)
def test_words_are_stemmed_in_a_language(language: str, text: str, words: list[str]) -> None:
    assert WordAnalyser(language).words(text) == words


def test_threads_stem_as_one_alone() -> None:
    words = [
        f"{stem}{ending}" for stem in ("restart", "connect", "happi", "nation") for ending in ("ing", "ed", "ness")
    ]
    texts = [" ".join(f"{word}{n}x {word}" for word in words) for n in range(200)]
    alone = [WordAnalyser("en").words(text) for text in texts]
    _stemmer.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(WordAnalyser("en").words, texts)) == alone


def test_every_language_has_a_stemmer() -> None:
    for language in LANGUAGES:
        assert WordAnalyser(language).words("42") == ["42"]


def test_a_language_without_a_stemmer_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"no stemmer for the language 'xx': use one of ar, ca, .*, or none"):
        WordAnalyser("xx")


@given(st.text(max_size=80))
def test_folding_is_settled_and_blind_to_case_and_composition(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert WHOLE.words(unicodedata.normalize("NFD", text)) == WHOLE.words(text)
    assert fold(text.upper().lower()) == fold(text.lower()) or "İ" in text or "ı" in text


@given(st.text(max_size=80))
def test_spans_are_words_in_their_order(text: str) -> None:
    last = 0
    for start, end in word_spans(text):
        assert last <= start < end <= len(text)
        assert all(
            unicodedata.category(letter)[0] in "LNM" or letter in "_‿⁀⁔︳︴﹍﹎﹏＿" for letter in text[start:end]
        )
        last = end


def test_no_mark_of_unicode_cuts_a_word() -> None:
    marks = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M"]
    unspaced = [mark for mark in marks if "\u0e00" <= mark <= "\u17ff" or mark in "\u3099\u309a"]
    assert [mark for mark in marks if len(list(word_spans(f"a{mark}b"))) != 1 and mark not in unspaced] == []
    assert len(unspaced) < len(marks) / 10


def test_terms_ascend_with_their_counts() -> None:
    terms, counts = WHOLE.terms("b a b c b")
    assert terms.dtype == np.uint32
    assert counts.dtype == np.uint16
    assert list(terms) == sorted({term_id("a"), term_id("b"), term_id("c")})
    assert dict(zip(terms.tolist(), counts.tolist(), strict=True)) == {
        term_id("a"): 1,
        term_id("b"): 3,
        term_id("c"): 1,
    }
    assert [len(part) for part in WHOLE.terms("")] == [0, 0]


def test_term_ids_are_fixed_for_good() -> None:
    assert [term_id(word) for word in ("service", "中文", "")] == [197149564, 2746714941, 634351890]
