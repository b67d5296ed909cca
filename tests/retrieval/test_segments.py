"""Where documents are cut into segments."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinbert.retrieval.segments import Segment, segments_of


def numbered(n: int) -> str:
    return " ".join(f"w{number}" for number in range(n))


@pytest.mark.parametrize(
    ("words", "sizes"),
    [(0, []), (30, []), (44, []), (45, [30, 15]), (60, [30, 30]), (74, [30, 44]), (75, [30, 30, 15]), (400, [30] * 6)],
)
def test_a_document_that_is_hardly_longer_than_a_segment_has_none(words: int, sizes: list[int]) -> None:
    assert [len(segment.text.split()) for segment in segments_of(numbered(words), 30, 6)] == sizes


def test_segments_name_their_place() -> None:
    assert segments_of("  Title: one, two -- three! four.", 2, 9) == [
        Segment(1, 2, 12, "Title: one"),
        Segment(2, 14, 26, "two -- three"),
        Segment(3, 28, 32, "four"),
    ]


def test_unspaced_writing_counts_two_letters_as_a_word() -> None:
    assert [len(segment.text) for segment in segments_of("搜索" * 50, 30, 6)] == [60, 40]


@given(st.text(max_size=300), st.integers(1, 5), st.integers(1, 4))
def test_segments_are_slices_in_order(text: str, words: int, most: int) -> None:
    found = segments_of(text, words, most)
    assert len(found) <= most
    assert [segment.number for segment in found] == list(range(1, len(found) + 1))
    assert all(segment.text == text[segment.start : segment.end] for segment in found)
    assert all(one.end <= two.start for one, two in pairwise(found))
