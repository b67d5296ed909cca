"""Make longer training texts of the packages that ``collect.py`` reads: neighbours of one source joined up.

    python benchmarks/starter/lengthen.py UNPACKED pairs.jsonl longer.jsonl

Documents are 20 to 180 words of consecutive passages (paragraphs of one page, paragraphs of one package, dictionary
entries of one field); queries are a heading, a sentence of the document, or a question about its heading. Beside them
stand as many short pairs from pairs.jsonl, ``collect.py``'s output, that the shipped starter was not trained on.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from collect import Pair, debian_descriptions, man_pages, plain, python_documentation, read_synsets

SHORTEST, LONGEST = 20, 180
"""Words of a document, drawn evenly."""
TRAINED_ON = 104_610
"""First lines of pairs.jsonl that the shipped starter has seen."""
QUESTIONS = ("what is {}?", "how does {} work?", "what does {} do?", "when is {} used?")


def main() -> None:
    """Write the pairs, shuffled by a fixed seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("unpacked", "pairs", "output"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--each", type=int, default=2_250, help="long documents of each source")
    parser.add_argument("--short", type=int, default=6_000, help="short pairs")
    arguments = parser.parse_args()
    draw = random.Random(0)
    pairs = []
    for source in sources(arguments.unpacked):
        found = list(joined(source, draw))
        pairs += draw.sample(found, min(arguments.each, len(found)))
    with arguments.pairs.open(encoding="utf-8") as file:
        pairs += [Pair(**json.loads(line)) for line in islice(file, TRAINED_ON, TRAINED_ON + arguments.short)]
    draw.shuffle(pairs)
    with arguments.output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)
    words = sorted(len(pair.document.split()) for pair in pairs)
    print(f"{len(pairs)} pairs, documents of {words[len(words) // 2]} words (median)")


def sources(unpacked: Path) -> list[Iterator[Pair]]:
    """The passages of each source in its own order."""
    share = unpacked / "usr/share"
    return [
        debian_descriptions(unpacked / "Translation-en"),
        entries(share / "wordnet"),
        man_pages(share / "man"),
        python_documentation(share / "doc/python3.11/html/_sources"),
    ]


def entries(folder: Path) -> Iterator[Pair]:
    """WordNet's entries in the order of its files, which keep a field's together: words, gloss and examples."""
    for synset in read_synsets(folder).values():
        examples = "".join(f" {example[:1].upper()}{example[1:]}." for example in synset.examples)
        yield Pair(
            synset.words[0], f"{', '.join(synset.words).capitalize()}: {synset.definition}.{examples}", "wordnet"
        )


def joined(passages: Iterator[Pair], draw: random.Random) -> Iterator[Pair]:
    """Documents of consecutive passages, each with a query."""
    words: list[str] = []
    headings: list[str] = []
    last, wanted = "", draw.randint(SHORTEST, LONGEST)
    for passage in passages:
        if last and last in passage.document:
            continue  # a whole description, after its paragraphs
        last = passage.document
        words += plain(last).split()
        headings.append(plain(passage.query))
        if len(words) >= wanted:
            document = " ".join(words[:LONGEST])
            yield Pair(asked(headings, document, draw), document, passage.source)
            words, headings, wanted = [], [], draw.randint(SHORTEST, LONGEST)


def asked(headings: list[str], document: str, draw: random.Random) -> str:
    """A heading, a question about it, or a sentence of the document."""
    heading, kind = draw.choice(headings), draw.random()
    if kind < 1 / 3:
        return heading
    if kind < 1 / 2:
        return draw.choice(QUESTIONS).format(heading)
    sentences = [one for one in re.split(r"(?<=[.!?;])\s+", document) if len(one.split()) > 3]
    return draw.choice(sentences or [heading])


if __name__ == "__main__":
    main()
