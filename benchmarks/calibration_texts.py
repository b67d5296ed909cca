"""Make the default calibration texts of the int8 export: WordNet's glosses, questions on its words, our own docstrings.

Usage, on any Debian or Ubuntu machine (nothing is installed; the package is unpacked beside the output):

    apt-get download wordnet-base
    dpkg -x wordnet-base_*.deb unpacked
    python benchmarks/calibration_texts.py unpacked encoders/training/quantisation/texts.txt

One text a line. The same WordNet and the same checkout give the same file.
"""

from __future__ import annotations

import ast
import random
import sys
from dataclasses import dataclass
from pathlib import Path

SEED = 0
SINGLE, JOINED, QUESTIONS, TECHNICAL = 176, 80, 128, 128
"""Texts of one gloss, of several, questions, and docstrings."""
PACKAGE = Path(__file__).resolve().parents[1]
FORMS = (
    "what is {0}?",
    "What is the difference between {0} and {1}?",
    "how does {0} differ from {1}",
    "who invented {0}",
    "{0} meaning",
    "When was the first {0} built, and where?",
    "Is {0} a kind of {1}?",
    "{0} {1} {2}",
    "Can you name three examples of {0}, such as {1}?",
    "why do people fear {0}",
    "How many kinds of {0} are there in 2024?",
    "definition of {0} with example",
    "where can I find {0} near {1}",
    "{0}",
    "Which {0} is used for {1}?",
    "how to remove {0} from {1} without damage",
)


@dataclass(frozen=True)
class Entry:
    """A set of words that mean one thing, and what is said of it."""

    words: list[str]
    gloss: str


def read_entries(folder: Path) -> list[Entry]:
    """Read WordNet's four data files; the first 29 lines of each are its licence."""
    entries = []
    for part in ("noun", "verb", "adj", "adv"):
        lines = (folder / f"data.{part}").read_text(encoding="utf-8").splitlines()
        for line in lines[29:]:
            facts, _, gloss = line.partition(" | ")
            fields = facts.split()
            words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
            entries.append(Entry([word.partition("(")[0].replace("_", " ") for word in words], gloss.strip()))
    return entries


def docstrings() -> list[str]:
    """The docstrings of this package's functions and classes, each behind the line that defines it."""
    found = []
    for path in sorted(PACKAGE.glob("[cei]*/**/*.py")) + sorted(PACKAGE.glob("retrieval/*.py")):
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                head = ast.unparse(node).partition("\n")[0] if len(found) % 2 else node.name
                found.append(f"{head} {text}")
    return found


def main() -> None:
    """Write the texts to the second argument."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    chooser = random.Random(SEED)
    entries = chooser.sample(read_entries(source / "usr/share/wordnet"), 4_000)
    words = [entry.words[0] for entry in entries if entry.words[0].isascii()]
    texts = [entry.gloss if place % 3 else f"{entry.words[0]}: {entry.gloss}" for place, entry in enumerate(entries)]
    single, rest = texts[:SINGLE], texts[SINGLE:]
    joined = [" ".join(chooser.sample(rest, chooser.randint(2, 6))) for _ in range(JOINED)]
    questions = [FORMS[place % len(FORMS)].format(*chooser.sample(words, 3)) for place in range(QUESTIONS)]
    technical = chooser.sample(docstrings(), TECHNICAL)
    lines = [" ".join(text.split()) for text in (*single, *joined, *questions, *technical)]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
