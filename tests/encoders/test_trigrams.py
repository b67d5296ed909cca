import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twinbert.encoders.serving.trigrams import TrigramTokenizer, trigrams, vocabulary, words


def test_the_paper_s_own_example() -> None:
    assert [trigrams(word) for word in words("Hello, World!")] == [
        ["#he", "hel", "ell", "llo", "lo#"],
        ["#wo", "wor", "orl", "rld", "ld#"],
    ]


def test_other_characters_are_deleted_not_replaced() -> None:
    assert words("don't  STOP naïve-ly 42") == ["dont", "stop", "navely", "42"]


def test_an_empty_text_is_one_empty_word() -> None:
    assert (words(""), words("…"), trigrams("")) == ([""], [""], ["###"])


def test_the_vocabulary_holds_every_possible_trigram_once() -> None:
    numbers = sorted(vocabulary().values())
    assert len(vocabulary()) == 36**3 + 2 * 36**2 + 36 + 1 == 49_285
    assert numbers == list(range(1, 49_286))


@given(st.text(alphabet="abcz019", min_size=1, max_size=30))
def test_a_word_has_as_many_trigrams_as_letters_and_all_are_known(word: str) -> None:
    assert len(trigrams(word)) == len(word)
    assert all(trigram in vocabulary() for trigram in trigrams(word))


def test_ids_stand_row_by_row_padded_with_zero() -> None:
    (ids,) = TrigramTokenizer(longest=4).encode(["ab c"])
    known = vocabulary()
    expected = np.zeros((2, 20), dtype=np.int64)
    expected[0, :2] = [known["#ab"], known["ab#"]]
    expected[1, 0] = known["#c#"]
    np.testing.assert_array_equal(ids, expected)


def test_twenty_trigrams_a_word_and_longest_words_a_text_are_kept() -> None:
    (ids,) = TrigramTokenizer(longest=3).encode(["a" * 30 + " b c d e"])
    assert ids.shape == (3, 20)
    assert ids[0].tolist() == [vocabulary()["#aa"]] + [vocabulary()["aaa"]] * 19


def test_tabs_and_line_ends_separate_words() -> None:
    one, other = TrigramTokenizer(longest=9).encode(["one\ttwo\nthree", "one two three"])
    np.testing.assert_array_equal(one, other)
