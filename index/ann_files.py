"""Writes what of a segment is derived from its vectors: the ANN index, its twins, its tuning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidInputError
from .ann import Ann, read
from .ann_build import build_ann, extend_ann
from .choice import Choice, choose
from .keys import FLAT, family_of
from .layout import Layout
from .segment import (
    ANN,
    MEMBERS,
    NODES,
    NUMBERS,
    QUERIES,
    STARTS,
    VECTORS,
    SegmentDescription,
    SegmentRequest,
    is_sound,
)
from .tuning import QUERIES_MOST, Tuning, perturbed, tune
from .twins import Twins


@dataclass(frozen=True, slots=True)
class AnnFiles:
    """What was written beside the vectors.

    vectors: in the segment. nodes: of the ANN index, 0 without one; trained: of how many when it was last built anew.
    has_drifted: whether an extended index lost what the previous one had: its target, or its own vectors.
    """

    vectors: int
    choice: Choice
    nodes: int = 0
    trained: int = 0
    tuning: Tuning | None = None
    has_drifted: bool = False


def write_ann(layout: Layout, folder: Path, request: SegmentRequest, *, extend: bool) -> AnnFiles:
    """Write the ANN index over the vectors that lie in ``folder``, where its family has one.

    extend: add to a copy of the previous segment's index. Raises InvalidInputError as ``build_ann`` and ``choose``.
    """
    vectors: NDArray[np.floating] = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    options = request.commit.options
    choice = choose(len(vectors), vectors.shape[1], options)
    previous = request.previous
    if extend and previous is not None and previous.ann is not None:
        return _extended(layout, folder, request, previous.description, previous.ann, vectors)
    if choice.index_key == FLAT.key:
        return AnnFiles(len(vectors), choice)
    twins = Twins.among(vectors)
    family = family_of(choice.index_key, vectors.shape[1])
    if len(twins) < family.least:  # texts that differ may have equal vectors
        return AnnFiles(len(vectors), choose(len(twins), vectors.shape[1], replace(options, index_key=family.key)))
    ann = build_ann(vectors, twins, family, options)
    tuning = _tuned(layout, folder, request, ann, vectors)
    _save(folder, ann)
    return AnnFiles(len(vectors), choice, len(ann.twins), len(ann.twins), tuning)


def _extended(
    layout: Layout,
    folder: Path,
    request: SegmentRequest,
    old: SegmentDescription,
    before: Ann,
    vectors: NDArray[np.floating],
) -> AnnFiles:
    choice = choose(len(vectors), vectors.shape[1], request.commit.options)
    numbers: NDArray[np.int64] = np.load(folder / NUMBERS, allow_pickle=False)
    numbers_before: NDArray[np.int64] = np.load(layout.segment(old.generation) / NUMBERS, allow_pickle=False)
    twins = before.twins.extended(vectors, np.searchsorted(numbers, numbers_before))
    index = read(layout.segment(old.generation) / ANN, mapped=False)
    try:
        ann = extend_ann(index, vectors, twins, before.family, request.commit.options)
    except InvalidInputError:
        return AnnFiles(len(vectors), choice, has_drifted=True)
    tuning = _tuned(layout, folder, request, ann, vectors)
    _save(folder, ann)
    lost = tuning is not None and not tuning.met and old.tuning is not None and old.tuning.met
    kept = Choice(old.index_key, old.reason, choice.ann_bytes, choice.vector_bytes, choice.build_bytes)
    return AnnFiles(len(vectors), kept, len(ann.twins), old.trained, tuning, lost)


def _tuned(
    layout: Layout, folder: Path, request: SegmentRequest, ann: Ann, vectors: NDArray[np.floating]
) -> Tuning | None:
    options = request.commit.options
    if options.target_recall is None:
        return None
    queries = request.queries if request.queries is not None else _queries_before(layout, request)
    if queries is not None:
        np.save(folder / QUERIES, np.ascontiguousarray(queries[:QUERIES_MOST], dtype=np.float32))
    starts: NDArray[np.int64] = np.load(folder / STARTS, allow_pickle=False)
    asked = perturbed(vectors, QUERIES_MOST) if queries is None else queries
    return tune(
        ann,
        vectors,
        np.diff(starts) > 0,
        asked,
        k=options.target_k,
        target=options.target_recall,
        proxy=queries is None,
    )


def _queries_before(layout: Layout, request: SegmentRequest) -> NDArray[np.float32] | None:
    previous = request.previous
    if previous is None or previous.description.space != request.commit.schema.space:
        return None
    path = layout.segment(previous.description.generation) / QUERIES
    seal = previous.description.files.get(QUERIES)
    # A rebuild is there for damage like this; Tuning.proxy tells that others stood in.
    if seal is None or (request.rebuild and not is_sound(path, seal)):
        return None
    found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    return found


def _save(folder: Path, ann: Ann) -> None:
    ann.save(folder / ANN)
    np.save(folder / MEMBERS, ann.twins.members)
    np.save(folder / NODES, ann.twins.starts)
