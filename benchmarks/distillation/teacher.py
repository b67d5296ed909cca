"""Cross-validate a teacher: one for each fold, trained on the other folds, scoring every judged pair.

    python benchmarks/distillation/teacher.py ../shared/data/wikiqa --scores SCORES --checkpoint MINILM --guide MINILM

``--checkpoint`` is a BERT-family folder, ``--guide`` a sentence-transformers folder with mean pooling; without it every
epoch learns from the labels. SCORES gets ``fold0.jsonl`` … ``fold4.jsonl``, which ``grid.py`` and ``report.py`` read.
A fold whose file is there is passed over; one that was stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from folds import FOLDS, JudgedPair, judged_pairs
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.pair_files import JudgedPair as Labelled
from twinbert.encoders.training.teacher_recipe import TeacherRecipe, read_teacher_recipe
from twinbert.encoders.training.teacher_trainer import measure_teacher
from twinbert.encoders.training.teacher_training import TeacherFiles, train_teacher

RECIPE = Path(__file__).with_name("teacher.toml")


def main() -> None:
    """Train and score every fold that is not done."""
    arguments = _arguments()
    arguments.scores.mkdir(parents=True, exist_ok=True)
    pairs = judged_pairs(arguments.folder, tuple(arguments.splits))
    for fold in arguments.folds:
        target = arguments.scores / f"fold{fold}.jsonl"
        if not target.exists():
            recipe = replace(read_teacher_recipe(arguments.recipe), seed=fold)
            began = time.perf_counter()
            teacher = trained(pairs, fold, recipe, arguments)
            measures = measure_teacher(teacher, [_labelled(pair) for pair in pairs if pair.fold == fold])
            _write_scores(pairs, teacher, target)
            print(f"fold {fold}: {measures}, {time.perf_counter() - began:.0f} s", flush=True)


def trained(
    pairs: Sequence[JudgedPair], fold: int, recipe: TeacherRecipe, arguments: argparse.Namespace
) -> CrossEncoder:
    """The teacher of a fold: trained on the other folds' pairs."""
    folder = arguments.scores / f"fold{fold}.teacher"
    files = TeacherFiles(
        checkpoint=arguments.checkpoint,
        target=folder,
        work=arguments.scores / f"fold{fold}.work",
        guide=arguments.guide,
        local_files_only=True,
    )
    if not folder.exists():
        train_teacher([_labelled(pair) for pair in pairs if pair.fold != fold], recipe, files, resume=True)
        shutil.rmtree(files.work)
    return CrossEncoder.load(folder, recipe.longest, local_files_only=True)


def _labelled(pair: JudgedPair) -> Labelled:
    return Labelled(pair.query, pair.document, float(pair.label))


def _write_scores(pairs: Sequence[JudgedPair], teacher: CrossEncoder, target: Path) -> None:
    scores = teacher.score([pair.query for pair in pairs], [pair.document for pair in pairs])
    partial = target.with_name(target.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        for pair, score in zip(pairs, scores.tolist(), strict=True):
            row = {"query_id": pair.query_id, "document_id": pair.document_id, "label": pair.label}
            file.write(json.dumps({**row, "score": score, "fold": pair.fold}) + "\n")
    partial.replace(target)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="BEIR layout, judged 0 and 1")
    parser.add_argument("--splits", nargs="+", default=["train", "dev"])
    parser.add_argument("--scores", type=Path, required=True, help="a file a fold, and its teacher's folder")
    parser.add_argument("--checkpoint", required=True, help="BERT-family folder that is fine-tuned")
    parser.add_argument(
        "--guide", type=Path, help="mean-pooling sentence-transformers folder that the first epoch follows"
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    return parser.parse_args()


if __name__ == "__main__":
    main()
