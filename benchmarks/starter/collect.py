"""Collect the starter model's training pairs from openly licensed Debian packages.

Usage, on any Debian or Ubuntu machine (nothing is installed; packages are unpacked beside the output):

    apt-get update -o Acquire::Languages=en
    apt-get download wordnet-base manpages manpages-dev python3.11-doc
    for package in *.deb; do dpkg -x $package unpacked; done
    /usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*_main_i18n_Translation-en* > unpacked/Translation-en
    python benchmarks/starter/collect.py unpacked pairs.jsonl

Each line of the output is ``{"query", "document", "source"}``: a heading, a name or a summary beside a text that it
stands for. Sources and their licences: Debian package descriptions (DFSG-free, per package), WordNet 3.0 glosses and
examples (WordNet licence), Linux man-pages (per page, DFSG-free), Python's documentation (PSF licence).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

LONGEST_WORDS = 220
"""Longer documents are cut into pieces of at most this many words."""


@dataclass(frozen=True)
class Pair:
    """One training pair and where it comes from."""

    query: str
    document: str
    source: str


def debian_descriptions(translations: Path) -> Iterator[Pair]:
    """Short against long descriptions of packages: each paragraph, and the whole."""
    entries = re.split(r"\n\n(?=Package: )", translations.read_text(encoding="utf-8"))
    for entry in entries:
        found = re.search(r"Package: (\S+)\n.*?Description-en: (.*?)\n(.*)", entry, flags=re.DOTALL)
        if not found:
            continue
        name, summary, long = found.groups()
        paragraphs = [plain(paragraph) for paragraph in re.split(r"\n \.\n", long)]
        yield Pair(name, summary, "debian")
        for paragraph in paragraphs:
            yield Pair(summary, paragraph, "debian")
        if len(paragraphs) > 1:
            yield Pair(f"{name} {summary}", " ".join(paragraphs), "debian")


@dataclass(frozen=True)
class Synset:
    """One WordNet entry: its words, its gloss, its examples and the entries that it points at by kind."""

    words: list[str]
    definition: str
    examples: list[str]
    pointers: list[tuple[str, str]]


def read_synsets(folder: Path) -> dict[str, Synset]:
    """Read ``data.{noun,verb,adj,adv}`` (format: wndb(5WN)), keyed by part of speech and offset."""
    synsets = {}
    for part, letter in (("noun", "n"), ("verb", "v"), ("adj", "a"), ("adv", "r")):
        for line in (folder / f"data.{part}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            data, gloss = line.split("|", 1)
            fields = data.split()
            word_count = int(fields[3], 16)
            words = [re.sub(r"\(.*\)", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * word_count : 2]]
            after = 4 + 2 * word_count + 1
            pointers = [
                (fields[i], fields[i + 2].replace("s", "a") + fields[i + 1])
                for i in range(after, after + 4 * int(fields[after - 1]), 4)
            ]
            examples = re.findall(r'"([^"]+)"', gloss)
            definition = re.sub(r'[;\s]*"[^"]*"', "", gloss).strip(" ;")
            synsets[letter + fields[0]] = Synset(words, definition, examples, pointers)
    return synsets


def wordnet(folder: Path) -> Iterator[Pair]:
    """Words against glosses, examples and a short article of the entry with its kind and its members."""
    synsets = read_synsets(folder)
    for synset in synsets.values():
        names = ", ".join(synset.words)
        yield Pair(synset.words[0], synset.definition, "wordnet")
        for example in synset.examples:
            yield Pair(names, example, "wordnet")
        if len(synset.words) > 1:
            yield Pair(synset.words[-1], f"{names}: {synset.definition}", "wordnet")
        article = _article(synset, synsets)
        if article:
            yield Pair(synset.definition if len(synset.words) > 1 else synset.words[0], article, "wordnet")


def _article(synset: Synset, synsets: dict[str, Synset]) -> str:
    kinds = [synsets[target] for mark, target in synset.pointers if mark in {"@", "@i"} and target in synsets]
    members = [
        synsets[target] for mark, target in synset.pointers if mark in {"~", "~i", "%p", "%m"} and target in synsets
    ]
    if not kinds or not (members or synset.examples):
        return ""
    parts = [
        f"{synset.words[0].capitalize()} is {synset.definition}, a kind of {kinds[0].words[0]} ({kinds[0].definition})."
    ]
    parts += [f"{example[:1].upper()}{example[1:]}." for example in synset.examples]
    parts += [f"{member.words[0].capitalize()}: {member.definition}." for member in members[:6]]
    return " ".join(parts)


def man_pages(folder: Path) -> Iterator[Pair]:
    """Each page's name line and section headings against their paragraphs."""
    for path in sorted(folder.glob("man*/*.gz")):
        source = gzip.decompress(path.read_bytes()).decode("utf-8", errors="replace")
        if source.startswith(".so"):
            continue
        name, heading, lines = path.name.split(".")[0], "", []
        for line in [*source.splitlines(), ".PP"]:
            if re.match(r"\.(SH|SS|PP|TP|P|LP|IP)\b", line):
                text = roff_to_text(lines)
                if heading == "NAME" and text:
                    name = text
                elif text:
                    yield Pair(f"{name} {heading.lower()}", text, "man")
                lines = []
                if line.startswith((".SH", ".SS")):
                    heading = roff_to_text([line.split(None, 1)[1]]) if " " in line else heading
            else:
                lines.append(line)


def roff_to_text(lines: Iterable[str]) -> str:
    """Strip roff's requests and escapes from a paragraph; an empty string for code and tables."""
    words = []
    for line in lines:
        if line.startswith((".nf", ".EX", ".TS", ".in", ".RS -")):
            return ""
        if line.startswith((".\\", "'\\", ".TH", ".ft", ".ad", ".hy")):
            continue
        content = re.sub(r"^\.[A-Z]{1,3}\s*", "", line)
        if not content.startswith("."):
            words.append(content.replace('" "', "").replace('"', ""))
    text = " ".join(words).replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\")
    return plain(re.sub(r"\\f(\[[^]]*\]|.)|\\[%&|^/,]|\\\(..|\\\[[^]]*\]", "", text))


def python_documentation(folder: Path) -> Iterator[Pair]:
    """Section titles and directives (``.. function:: …``) against the paragraphs below them."""
    for path in sorted(folder.rglob("*.rst.txt")):
        title = heading = ""
        paragraphs = re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
        for paragraph in paragraphs:
            head = re.match(r"\s*(?:[*=~#-]{3,}\n)?(\S.*)\n([*=~\-^\"#])\2{2,}", paragraph)
            directive = re.match(
                r"\s*\.\. (?:\w+:)?(?:function|method|class|exception|data|attribute|describe)::\s*(.+)",
                paragraph,
            )
            if head:
                heading = rst_to_text(head.group(1))
                title = title or heading
            elif directive:
                heading = directive.group(1).strip()
            elif not re.match(r"\s*(\.\.|>>>|::|[+|=]{2,})", paragraph):
                text = rst_to_text(paragraph)
                if text:
                    yield Pair(heading if heading == title else f"{title}: {heading}", text, "python")


def rst_to_text(paragraph: str) -> str:
    """Strip reStructuredText's roles and marks."""
    text = re.sub(r":[\w:+-]+:`[~!]?([^`<]+?)(?:\s*<[^>]*>)?`", r"\1", paragraph)
    text = re.sub(r"`([^`<]+?)\s*<[^>]*>`_+", r"\1", text)
    return plain(re.sub(r"``|\*\*|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)|::$|\|", "", text))


def plain(text: str) -> str:
    """One line, single spaces."""
    return " ".join(text.split())


def spans(pairs: list[Pair], count: int, rng: random.Random) -> Iterator[Pair]:
    """Short runs of words of a document as its query: the look of what people type."""
    for pair in rng.sample(pairs, count):
        words = re.sub(r"[^\w\s'-]", " ", pair.document).lower().split()
        if len(words) < 12:
            continue
        length = rng.randint(2, 9)
        start = rng.randrange(len(words) - length)
        yield Pair(" ".join(words[start : start + length]), pair.document, pair.source)


def tidy(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Drop repeated and near-empty documents, cut the long ones."""
    seen = set()
    for pair in pairs:
        pieces = textwrap.wrap(pair.document, LONGEST_WORDS * 6) or [""]
        for piece in pieces:
            key = re.sub(r"\W+|\d+", "", piece.lower())
            if len(key) > 8 and len(pair.query) > 1 and key not in seen:
                seen.add(key)
                yield Pair(pair.query, piece, pair.source)


def main() -> None:
    """Write the pairs, shuffled by a fixed seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    share = arguments.unpacked / "usr/share"
    pairs = list(
        tidy(
            [
                *debian_descriptions(arguments.unpacked / "Translation-en"),
                *wordnet(share / "wordnet"),
                *man_pages(share / "man"),
                *python_documentation(share / "doc/python3.11/html/_sources"),
            ]
        )
    )
    rng = random.Random(0)
    pairs += list(spans(pairs, len(pairs) // 5, rng))
    rng.shuffle(pairs)
    with arguments.output.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(pair), ensure_ascii=False) + "\n" for pair in pairs)
    print(f"{len(pairs)} pairs")


if __name__ == "__main__":
    main()
