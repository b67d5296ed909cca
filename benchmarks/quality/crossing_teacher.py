"""Put together what the curve's teacher is fine-tuned on: structure of groups that nobody scores, and judgements.

    python benchmarks/quality/crossing_teacher.py pairs.jsonl WIKIQA judged.jsonl rest.jsonl
    twinbert train teacher judged.jsonl TEACHER --model FOLD1 --guide MINILM --set epochs=2 --set negatives_per_query=4

The last groups of ``crossing_pairs.py``'s output go to judged.jsonl, the others to rest.jsonl, to be scored. Beside
them stand questions of WikiQA's training part that are not in fold 1 of ``benchmarks/distillation/folds.py``; FOLD1 is
the teacher that ``benchmarks/distillation/teacher.py --folds 1`` trains, so neither has seen that fold.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import groupby
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "distillation"))

from folds import judged_pairs

UNSEEN_FOLD = 1


def main() -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("pairs", "wikiqa", "judged", "rest"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--groups", type=int, default=300, help="groups that the teacher learns from")
    parser.add_argument("--questions", type=int, default=250, help="questions of WikiQA that it learns from")
    arguments = parser.parse_args()
    lines = arguments.pairs.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = json.loads(lines[-1])["group"] + 1 - arguments.groups
    first = next(place for place, line in enumerate(lines) if json.loads(line)["group"] == kept)
    arguments.rest.write_text("".join(lines[:first]), encoding="utf-8")
    judged = [*lines[first:], *questions(arguments.wikiqa, arguments.questions)]
    arguments.judged.write_text("".join(judged), encoding="utf-8")
    print(f"{len(judged)} judged pairs, {first} to score")


def questions(wikiqa: Path, count: int) -> list[str]:
    """The judged pairs of the first questions that are not held out, as JSON lines."""
    pairs = (pair for pair in judged_pairs(wikiqa, ("train",)) if pair.fold != UNSEEN_FOLD)
    by_query = [list(own) for _, own in groupby(pairs, key=lambda pair: pair.query_id)][:count]
    return [
        json.dumps({"query": pair.query, "document": pair.document, "label": pair.label}, ensure_ascii=False) + "\n"
        for own in by_query
        for pair in own
    ]


if __name__ == "__main__":
    main()
