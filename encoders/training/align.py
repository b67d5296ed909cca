"""A smaller query tower for the documents that are there: ``twinbert train align``.

The small tower learns to give each text the vector that the model's own query tower gives it (Wang and Lyu 2023,
arXiv 2306.11550). The document tower stays as it is, and with it every vector of an index built with the model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import set_seed

from ...errors import InvalidInputError, ModelError
from ..folder import ModelFolder
from ..serving.batches import token_budget
from ..serving.tokenizing import tokenizer_of
from .card import CardFacts, write_card
from .data import Batch, EncodedTexts, Part, encode_texts, padded
from .distill import claim, run_name
from .losses import alignment_loss
from .recipe import Schedule
from .run import require_free, write_figures
from .saving import load, save
from .student import Student
from .towers import Tower
from .trainer import Report, StudentTrainer, arguments, only, train


class AlignedTower(nn.Module):
    """A tower that learns the vectors of another one."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        self.tower = tower

    def forward(self, pairs: Part) -> dict[str, Tensor]:
        """Mean of 1 − cosine to the vectors that the batch carries."""
        return {"loss": alignment_loss(self.tower(pairs["ids"], pairs["mask"]), pairs["vectors"])}


class BatchedTexts(torch.utils.data.Dataset[Batch]):
    """A data set whose items are whole batches of texts with the vectors they are to get."""

    def __init__(self, texts: EncodedTexts, places: NDArray[np.int64], budget: int) -> None:
        self.texts = texts
        self.batches = [places[batch] for batch in token_budget(texts.lengths[places], budget)]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return {"pairs": padded(self.texts, self.batches[index])}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlignOptions:
    """What the small tower is.

    layers: the model's own query layers that it starts from, in order.
    """

    layers: tuple[int, ...]


def align_query_tower(
    base: ModelFolder,
    texts: Sequence[str],
    target: Path,
    options: AlignOptions,
    schedule: Schedule,
    *,
    work: Path,
    resume: bool = False,
    report: Report | None = None,
) -> ModelFolder:
    """Give a model a smaller query tower; the new model searches the indexes of the old one.

    texts: what to learn from: queries, and texts like them. The document tower, the crossings and the vector space
    are those of ``base``.

    Raises ModelError for a model without its fp32 weights, for layers that it does not have and for a target that is
    not empty; InvalidInputError for no texts, and for a ``work`` folder of another run.
    """
    require_free(target)
    if not texts:
        raise InvalidInputError("no texts to learn from: name files of queries or documents")
    claim(work, run_name(repr((options, schedule)).encode(), *(text.encode() for text in texts)), resume=resume)
    set_seed(schedule.seed)
    teacher = load(base)
    student = smaller(teacher, options)
    vocabulary = base.tokenizer if base.tokenizer.exists() else None
    encoded = encode_texts(tokenizer_of(teacher.towers.config, "query", vocabulary), texts, None)
    encoded = dataclasses.replace(encoded, targets=_vectors(teacher.towers.query, encoded, report))
    figures = _train(student.towers.query, encoded, schedule, work, report, resume=resume)
    folder = ModelFolder(target)
    save(student.eval(), folder, vocabulary)
    write_figures({"aligned_to": base.root.name, "texts": len(texts)} | figures, folder.root / "training.json")
    kept = ", ".join(map(str, options.layers))
    origin = (
        f"{base.root.name} with a query tower of its layers {kept}, aligned to its own; the documents' stays as it is."
    )
    write_card(folder, CardFacts(name=target.name, origin=origin))
    return folder


def smaller(teacher: Student, options: AlignOptions) -> Student:
    """The model with a query tower of some of its own query layers; everything else is copied."""
    config = teacher.towers.config
    own = config.tower_of("query")
    if not options.layers or not all(0 <= layer < own.layers for layer in options.layers):
        raise ModelError(f"name some of the query tower's {own.layers} layers, not {list(options.layers)}")
    shape = dataclasses.replace(own, layers=len(options.layers))
    asymmetric = dataclasses.replace(config, shared=False, query_tower=shape, space="", files={})
    student = Student(asymmetric)
    student.towers.document.load_state_dict(teacher.towers.document.state_dict())
    student.cosine.load_state_dict(teacher.cosine.state_dict())
    if student.head is not None and teacher.head is not None:
        student.head.load_state_dict(teacher.head.state_dict())
    _take_layers(student.towers.query, teacher.towers.query, options.layers)
    return student


def _take_layers(small: Tower, large: Tower, layers: Sequence[int]) -> None:
    state = large.state_dict()
    kept = {name: weight for name, weight in state.items() if not name.startswith("layers.")}
    for place, layer in enumerate(layers):
        prefix = f"layers.{layer}."
        kept |= {
            f"layers.{place}.{name.removeprefix(prefix)}": weight
            for name, weight in state.items()
            if name.startswith(prefix)
        }
    small.load_state_dict(kept)


def _vectors(tower: Tower, texts: EncodedTexts, report: Report | None) -> NDArray[np.float16]:
    """The teaching tower's vectors of all texts, ``(n, dimension)`` float16."""
    vectors = np.empty((len(texts), tower.config.dimension), dtype=np.float16)
    done = 0
    for places in token_budget(texts.lengths, 4_096):
        part = padded(texts, places)
        with torch.inference_mode():
            vectors[places] = tower(part["ids"], part["mask"]).numpy()
        done += len(places)
        if report:
            report("teacher", done, len(texts))
    return vectors


def _train(
    tower: Tower, texts: EncodedTexts, schedule: Schedule, work: Path, report: Report | None, *, resume: bool
) -> dict[str, object]:
    order = np.random.default_rng(schedule.seed).permutation(len(texts))
    held_out = min(schedule.held_out, len(texts) // 10)
    learned, measured = (
        BatchedTexts(texts, places, schedule.batch_tokens) for places in (order[held_out:], order[:held_out])
    )
    trainer = StudentTrainer(
        model=AlignedTower(tower),
        args=arguments(dataclasses.replace(schedule, held_out=held_out), len(learned), work),
        train_dataset=learned,
        eval_dataset=measured,
        data_collator=only,
    )
    return train(trainer, schedule, work, report, resume=resume)
