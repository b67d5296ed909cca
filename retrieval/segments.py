"""A longer document's first segments: runs of about thirty words, encoded apart from the document itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..encoders.serving.words import word_spans


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a document's full text, ``text[start:end]``; number counts from 1."""

    number: int
    start: int
    end: int
    text: str


def segments_of(text: str, words: int, most: int) -> list[Segment]:
    """The first ``most`` segments of ``words`` words each; none of a text that is hardly longer than one.

    What is left over at the end is a segment of its own from half that length on, and else belongs to the last.

    text: title and text of a document as they are encoded.
    """
    spans = list(word_spans(text))
    starts = list(range(0, len(spans), words))
    if len(starts) > 1 and len(spans) - starts[-1] < words / 2:
        starts.pop()
    if len(starts) < 2:
        return []
    ends = [*starts[1:], len(spans)]
    places = [(spans[first][0], spans[last - 1][1]) for first, last in zip(starts, ends, strict=True)]
    return [Segment(number, *place, text[slice(*place)]) for number, place in enumerate(places[:most], start=1)]
