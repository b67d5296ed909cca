"""Make short query–text pairs for a teacher to score: names, titles and questions against single sentences.

    python benchmarks/quality/crossing_pairs.py UNPACKED pairs.jsonl

UNPACKED is the folder that ``benchmarks/starter/collect.py`` reads; its docstring says how to fill it. The pairs come
in groups of sixteen: four queries, each with the sentence that it stands over in its source, crossed with each other.
Three of the four lie close together by the starter's cosine, the fourth is random, so a group has 4 pairs that match by
structure, 6 near ones and 6 random ones. No text is in two groups. Each line is ``{"query", "document", "label",
"source", "kind", "group"}``; label is 1 for what matches by structure. Groups are shuffled: any first part is a sample.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "starter"))

from collect import Pair, debian_descriptions, man_pages, plain, python_documentation, wordnet
from twinbert.encoders import TwinEncoder

QUERY_WORDS, SENTENCE_WORDS = (1, 8), (3, 12)
EACH_QUERY = 2
"""Sentences kept of one query."""
NEAR, CANDIDATES = 2, 24
"""Near items of a group, and how many of the nearest are looked through for ones that are free."""
QUESTIONS = {
    "debian": "what is {}?",
    "wordnet": "what does {} mean?",
    "man": "what is said about {}?",
    "python": "what does {} do?",
}
QUESTION_SHARE = 0.25


def main() -> None:
    """Write the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--pool", type=int, default=10_000, help="items drawn of each source")
    arguments = parser.parse_args()
    draw = random.Random(0)
    pool = list(drawn(arguments.unpacked, arguments.pool, draw))
    groups = list(grouped(nearest(pool), draw))
    draw.shuffle(groups)
    with arguments.output.open("w", encoding="utf-8") as file:
        for number, places in enumerate(groups):
            items = [pool[place] for place in places]
            file.writelines(json.dumps(line | {"group": number}, ensure_ascii=False) + "\n" for line in crossed(items))
    print(f"{len(groups)} groups, {16 * len(groups)} pairs from {len(pool)} items")


def drawn(unpacked: Path, most: int, draw: random.Random) -> Iterator[Pair]:
    """A sample of as many items of each source, some of their queries turned into questions, shuffled."""
    share = unpacked / "usr/share"
    sources = (
        debian_descriptions(unpacked / "Translation-en"),
        wordnet(share / "wordnet"),
        man_pages(share / "man"),
        python_documentation(share / "doc/python3.11/html/_sources"),
    )
    seen: set[str] = set()
    items: list[Pair] = []
    for source in sources:
        found = list(short(source, seen))
        items += draw.sample(found, min(most, len(found)))
    draw.shuffle(items)
    for item in items:
        asked = QUESTIONS[item.source].format(item.query) if draw.random() < QUESTION_SHARE else item.query
        yield replace(item, query=asked)


def short(pairs: Iterable[Pair], seen: set[str]) -> Iterator[Pair]:
    """Short queries beside single sentences of their documents; ``seen`` holds the sentences that were given out."""
    given: Counter[str] = Counter()
    for pair in pairs:
        query = re.sub(r"\(.*?\)|[#:]+ *$", "", plain(pair.query)).strip()
        if not _within(query, QUERY_WORDS):
            continue
        for sentence in re.split(r"(?<=[.!?;])\s+", plain(pair.document)):
            key = re.sub(r"\W+", "", sentence.lower())
            if given[query] < EACH_QUERY and _within(sentence, SENTENCE_WORDS) and key not in seen:
                seen.add(key)
                given[query] += 1
                yield Pair(query, sentence, pair.source)


def _within(text: str, words: tuple[int, int]) -> bool:
    return len(text) > 1 and words[0] <= len(text.split()) <= words[1]


def nearest(pool: list[Pair]) -> Iterator[NDArray[np.int64]]:
    """For each item in turn the places of the sentences nearest to its query by the starter's cosine, nearest first."""
    encoder = TwinEncoder.from_pretrained("starter", threads=1)
    queries = encoder.encode_queries([item.query for item in pool])
    documents = encoder.encode_documents([item.document for item in pool])
    for start in range(0, len(pool), 512):
        scores = queries[start : start + 512] @ documents.T
        top = np.argpartition(-scores, CANDIDATES, axis=1)[:, :CANDIDATES]
        for row, places in zip(scores, top, strict=True):
            yield places[np.argsort(-row[places], kind="stable")]


def grouped(nearest: Iterable[NDArray[np.int64]], draw: random.Random) -> Iterator[list[int]]:
    """Groups of places, as many as there are: an item, its nearest that no group has yet, and a random one."""
    near = list(nearest)
    free = dict.fromkeys(draw.sample(range(len(near)), len(near)))
    for first in list(free):
        if first not in free:
            continue
        del free[first]
        others = [int(place) for place in near[first] if int(place) in free][:NEAR]
        if len(others) == NEAR:
            for place in others:
                del free[place]
            yield [first, *others, free.popitem()[0]]


def crossed(items: list[Pair]) -> Iterator[dict[str, object]]:
    """The pairs of a group, each query with each sentence; the last item is the random one."""
    last = len(items) - 1
    for row, asked in enumerate(items):
        for column, answer in enumerate(items):
            kind = "own" if row == column else "random" if last in (row, column) else "near"
            pair = {"query": asked.query, "document": answer.document, "label": int(row == column)}
            yield pair | {"source": asked.source, "kind": kind}


if __name__ == "__main__":
    main()
