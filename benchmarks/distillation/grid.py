"""Train students of every configuration on every fold, and keep what they score the held-out pairs.

    python benchmarks/distillation/grid.py ../shared/data/wikiqa --scores SCORES --results RESULTS [--only soft+hard]

SCORES holds the teachers' ``fold0.jsonl`` … ``fold4.jsonl`` (``teacher.py`` makes them). What is in RESULTS already is
not run again, so a stopped grid goes on where it was. ``report.py`` makes the tables. One thread a run: start two
grids with different ``--only`` for two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from folds import FOLDS, JudgedPair, judged_pairs
from twinbert.encoders.serving.batches import token_budget
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.encoders.training.data import encode_texts, pad
from twinbert.encoders.training.distill import Inputs, Trained, distill
from twinbert.encoders.training.recipe import Recipe, overlaid, read_recipe

GRID = Path(__file__).with_name("grid.toml")


def main() -> None:
    """Run the grid as the command line says."""
    arguments = _arguments()
    torch.set_num_threads(1)
    grid = msgspec.toml.decode(GRID.read_bytes())
    pairs = judged_pairs(arguments.folder, tuple(arguments.splits))
    for name in arguments.only or grid["configurations"]:
        for fold in arguments.folds:
            target = arguments.results / name / f"fold{fold}.json"
            if not target.exists():
                recipe = recipe_of(grid, name, fold, arguments.checkpoint)
                kept = thinned(pairs, grid["configurations"][name].get("negatives", grid["negatives"]), fold)
                result = run(kept, recipe, arguments.scores / f"fold{fold}.jsonl", fold)
                _write(result, target)
                print(name, fold, f"{result['seconds']:.0f} s", flush=True)


def recipe_of(grid: dict[str, Any], name: str, seed: int, checkpoint: str) -> Recipe:
    """A configuration laid over the grid's base, with a fold's seed."""
    settings = overlaid(grid["base"], grid["configurations"][name])
    settings.pop("negatives", None)
    named = settings["start"]["checkpoint"]  # "" in a shape that nothing can be copied into
    start = settings["start"] | {"checkpoint": checkpoint} if named else {}
    return read_recipe(None, [settings | {"start": start}, {"schedule": {"seed": seed}}])


def thinned(pairs: Sequence[JudgedPair], negatives: int, fold: int) -> list[JudgedPair]:
    """The pairs with at most so many irrelevant ones a query outside the fold, drawn by its seed; 0 keeps them all."""
    draw = random.Random(fold)
    irrelevant: dict[str, list[JudgedPair]] = {}
    for pair in pairs:
        if not pair.label and pair.fold != fold:
            irrelevant.setdefault(pair.query_id, []).append(pair)
    dropped = {
        pair
        for found in irrelevant.values()
        if negatives
        for pair in draw.sample(found, max(0, len(found) - negatives))
    }
    return [pair for pair in pairs if pair not in dropped]


def run(pairs: Sequence[JudgedPair], recipe: Recipe, scores: Path, fold: int) -> dict[str, Any]:
    """Train on the other folds and score the pairs of this one."""
    held_out = [pair for pair in pairs if pair.fold == fold]
    started = time.perf_counter()
    work = Path(f"/tmp/twinbert-grid-{os.getpid()}")
    try:
        work.mkdir(parents=True)
        _write_pairs((pair for pair in pairs if pair.fold != fold), teacher_scores(scores), work / "pairs.jsonl")
        trained = distill(Inputs(work / "pairs.jsonl", None, work / "work"), recipe)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    cosine, *residual = score(trained, held_out)
    return {
        "queries": [pair.query_id for pair in held_out],
        "documents": [pair.document_id for pair in held_out],
        "labels": [pair.label for pair in held_out],
        "cosine": cosine.tolist(),
        "residual": (residual or [cosine])[-1].tolist(),
        "seconds": time.perf_counter() - started,
        "figures": trained.figures,
    }


def teacher_scores(path: Path) -> dict[tuple[str, str], float]:
    """A teacher's probabilities by query id and document id; none where the file is not there."""
    if not path.exists():
        return {}
    rows = (json.loads(line) for line in path.open(encoding="utf-8"))
    return {(row["query_id"], row["document_id"]): row["score"] for row in rows}


def score(trained: Trained, pairs: Sequence[JudgedPair]) -> list[np.ndarray]:
    """Each crossing's logits of some pairs, ``(pairs,)`` float32."""
    student, config = trained.student, trained.student.towers.config
    sides = []
    for side, tower, texts in (
        ("query", student.towers.query, [pair.query for pair in pairs]),
        ("document", student.towers.document, [pair.document for pair in pairs]),
    ):
        encoded = encode_texts(tokenizer_of(config, side, trained.vocabulary), texts, None)
        vectors = torch.empty(len(texts), config.tower.dimension)
        for places in token_budget(encoded.lengths, 4_096):
            with torch.inference_mode():
                vectors[torch.from_numpy(places)] = tower(*pad(encoded, places))
        sides.append(vectors)
    with torch.inference_mode():
        rows = [student.logits(q[None], d[None]) for q, d in zip(*sides, strict=True)]
    return [np.array([row[place].item() for row in rows], dtype=np.float32) for place in range(len(rows[0]))]


def _write_pairs(pairs: Iterator[JudgedPair], scores: dict[tuple[str, str], float], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            row: dict[str, Any] = {"query": pair.query, "document": pair.document, "label": pair.label}
            if scores:
                row["score"] = scores[pair.query_id, pair.document_id]
            file.write(json.dumps(row) + "\n")


def _write(result: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(result), encoding="utf-8")
    partial.replace(target)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="BEIR layout, judged 0 and 1")
    parser.add_argument("--splits", nargs="+", default=["train", "dev"], help="qrels/SPLIT.tsv that are pooled")
    parser.add_argument("--scores", type=Path, required=True, help="the teachers' scores")
    parser.add_argument("--results", type=Path, required=True, help="a file a configuration and fold")
    parser.add_argument("--only", nargs="+", help="configurations to run (default: all)")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--checkpoint", required=True, help="BERT-family folder that students start from")
    return parser.parse_args()


if __name__ == "__main__":
    main()
