"""Makes an index sound again: from what it stores where that suffices, else by encoding its documents again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..encoders import TwinEncoder
from ..errors import IndexDamagedError, ModelError
from ..index import Index, Listing
from .building import Filling
from .evidence import maker_of
from .models import Model, load, named_in, require_space
from .plan import Progress, stored_records


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """What a rebuild did.

    encoded: texts that were encoded again, 0 where all vectors were sound.
    damage: what was wrong that made it necessary, None otherwise; what history remembered is then forgotten.
    """

    generation: int
    documents: int
    encoded: int
    damage: str | None


def rebuild(
    path: str | Path,
    model: Model | None = None,
    progress: Progress | None = None,
    *,
    threads: int = 1,
    wait: float | None = None,
) -> RebuildReport:
    """Write a new generation, with everything that is derived made from nothing.

    Where the vectors themselves are damaged, all texts of the index are encoded again: a checksum covers the whole
    file, so nobody knows which of them are sound.

    model: of the index's vector space; None for the one that the index names.
    progress, wait: as in ``Retriever.build``.
    threads: batches of texts that the model encodes at once; of no account where ``model`` is loaded already.

    Raises IndexDamagedError where the store is damaged, or vectors that did not come from texts; ModelError or
    SpaceMismatchError where the model that is needed cannot be had; IndexLockedError. The index is then as it was.
    """
    try:
        generation = Index.rebuild(path, wait=wait)
    except IndexDamagedError as damage:
        encoder = _model_for(path, model, threads, damage)
        return _encoded_again(path, encoder, progress, damage, wait)
    with Listing(path) as present:
        return RebuildReport(generation, len(present), 0, None)


def _model_for(path: str | Path, model: Model | None, threads: int, damage: IndexDamagedError) -> TwinEncoder:
    with Listing(path) as present:
        schema = present.schema
    source = model or named_in(schema)
    if source is None:
        raise IndexDamagedError(f"{damage}; twinbert did not encode its vectors: build it again with them") from damage
    try:
        encoder = load(source, threads)
    except ModelError as error:
        raise ModelError(f"{damage}, which takes the model to mend: {error}") from error
    require_space(path, schema, encoder)
    return encoder


def _encoded_again(
    path: str | Path, encoder: TwinEncoder, progress: Progress | None, damage: IndexDamagedError, wait: float | None
) -> RebuildReport:
    with Listing(path) as present:
        schema, options = present.schema, present.options
    counted = _Counted(progress)
    with (
        Index.create(path, schema, options, overwrite=True, resume=True, wait=wait) as index,
        index.writer(replace=True, repair=True, wait=wait) as writer,
        Listing(path) as present,
    ):
        filling = Filling(encoder, maker_of(schema), progress=counted)
        report = filling.fill(writer, stored_records(present, filling.key_space), options)
    return RebuildReport(report.generation, report.documents, counted.total, str(damage))


class _Counted:
    """Progress that remembers how much there was to do."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self.total = 0

    def __call__(self, done: int, total: int) -> None:
        self.total = total
        if self._progress:
            self._progress(done, total)
