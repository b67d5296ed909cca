"""``twinbert train teacher``: judged pairs in, a fine-tuned cross-encoder out. transformers' Trainer runs the loop."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import set_seed

from ...errors import InvalidInputError, ModelError
from .cross_encoder import CrossEncoder
from .pair_files import JudgedPair
from .teacher import BiEncoderTeacher, teacher_vectors
from .teacher_data import judged_set
from .teacher_recipe import TeacherRecipe, write_teacher_recipe
from .teacher_trainer import TeacherMeasures, TeacherRun, in_bf16, measure_teacher

RECIPE = "recipe.toml"
"""The effective recipe, in the teacher's folder."""
CHECKPOINTS = "checkpoints"
RUN = "run.json"
"""What a run was started with, in its work folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherFiles:
    """Where a run takes from and keeps what.

    checkpoint: folder or hub id of any BERT-like model, with a classifier or without. target: new folder for the
    teacher. work: checkpoints, what ``resume`` goes on from. guide: a mean-pooling sentence-transformers folder whose
    cosine the first ``guided_epochs`` follow, or None. local_files_only: never ask the hub.
    """

    checkpoint: str
    target: Path
    work: Path
    guide: Path | None = None
    local_files_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherReport:
    """What a run did. measures: on the pairs of the held-out queries; None where none are."""

    pairs: int
    queries: int
    held_out_queries: int
    steps: int
    measures: TeacherMeasures | None


def train_teacher(
    pairs: Sequence[JudgedPair],
    recipe: TeacherRecipe,
    files: TeacherFiles,
    *,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> TeacherReport:
    """Fine-tune a checkpoint on judged pairs and save it, with its tokenizer and the recipe, into a new folder.

    resume: go on from the last checkpoint of a run that was stopped; it ends with the weights that it would have had.
    progress: told (done, total) in steps.

    Raises InvalidInputError for pairs that nothing can be learnt from and for resuming what was started otherwise,
    ModelError for a checkpoint or guide that cannot be taken and for a target that is there already.
    """
    _require_new(files.target)
    _remember(pairs, recipe, files, resume)
    set_seed(recipe.seed)
    # PyTorch's fused attention is slow in bf16 on processors
    attention = "eager" if in_bf16(recipe) and not torch.cuda.is_available() else None
    encoder = CrossEncoder.load(
        files.checkpoint, recipe.longest, trained=False, attention=attention, local_files_only=files.local_files_only
    )
    data = judged_set(pairs, encoder, _guide_cosines(pairs, recipe, files))
    held_out = _held_out(data.queries, recipe)
    judged = [pair for pair, out in zip(pairs, held_out, strict=True) if out]
    run = TeacherRun(encoder, data.of(~held_out), judged, recipe, files.work / CHECKPOINTS)
    steps = run.train(resume=resume, progress=progress)
    _save(encoder, recipe, files.target)
    return TeacherReport(
        pairs=len(pairs),
        queries=len(data.rows_by_query()),
        held_out_queries=len({pair.query for pair in judged}),
        steps=steps,
        measures=measure_teacher(encoder, judged) if judged else None,
    )


def _require_new(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ModelError(f"{target} is there already: name a new folder for the teacher")


def _remember(pairs: Sequence[JudgedPair], recipe: TeacherRecipe, files: TeacherFiles, resume: bool) -> None:
    """Note what the run is started with; a run that goes on must be the one that was stopped."""
    digest = blake2b(digest_size=16)
    for pair in pairs:
        digest.update(msgspec.json.encode(pair))
    run = {"checkpoint": files.checkpoint, "guide": str(files.guide), "pairs": digest.hexdigest(), **asdict(recipe)}
    note = files.work / RUN
    if note.exists() and not resume:
        raise InvalidInputError(
            "a run was stopped here: go on with it (--resume), or delete the folder", path=files.work
        )
    if note.exists():
        before = json.loads(note.read_text(encoding="utf-8"))
        changed = sorted(name for name in run if run[name] != before.get(name))
        if changed:
            raise InvalidInputError(f"the stopped run had another value of {', '.join(changed)}: start anew", path=note)
    files.work.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(run, indent=1), encoding="utf-8")


def _guide_cosines(
    pairs: Sequence[JudgedPair], recipe: TeacherRecipe, files: TeacherFiles
) -> NDArray[np.float32] | None:
    """The guide's cosine of each pair, ``(n,)``; None where none guides."""
    if files.guide is None or recipe.guided_epochs == 0:
        return None
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.query, pair.document)))
    vectors = teacher_vectors(BiEncoderTeacher(files.guide), texts, files.work / "guide").astype(np.float32)
    rows = {text: row for row, text in enumerate(texts)}
    queries, documents = (
        [rows[text] for text in side] for side in zip(*((p.query, p.document) for p in pairs), strict=True)
    )
    cosines: NDArray[np.float32] = np.einsum("nd,nd->n", vectors[queries], vectors[documents])
    return cosines


def _held_out(queries: NDArray[np.int64], recipe: TeacherRecipe) -> NDArray[np.bool_]:
    """Which pairs are held out: those of a share of the queries, drawn by the seed."""
    count = int(queries.max()) + 1
    drawn = np.random.default_rng(recipe.seed).permutation(count)[: round(recipe.held_out * count)]
    return np.isin(queries, drawn)


def _save(encoder: CrossEncoder, recipe: TeacherRecipe, target: Path) -> None:
    """Write the folder beside its place and move it there: it is whole or absent."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    encoder.save(partial)
    write_teacher_recipe(recipe, partial / RECIPE)
    if target.exists():
        target.rmdir()
    partial.rename(target)
