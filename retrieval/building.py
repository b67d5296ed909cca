"""Builds an index from documents: new, over one that is there, or anew from what that one stores with another model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..encoders import TwinEncoder
from ..errors import IndexExistsError, IndexNotFoundError
from ..index import BuildOptions, ChangeReport, Choice, Index, IndexSchema, Listing, Record, Writer
from .models import model_note
from .plan import Progress, encode_pending, read_whole, stored_records
from .records import Document
from .tuning_queries import QuerySample, tune_with

Announce = Callable[[Choice], None]
"""Told what the index will be, before anything is encoded."""


@dataclass(frozen=True, slots=True)
class Filling:
    """How a build turns documents into an index, and whom it tells.

    queries: texts to tune the search effort with; None for titles and spans of the documents.
    """

    encoder: TwinEncoder
    queries: Sequence[str] | None = None
    announce: Announce | None = None
    progress: Progress | None = None

    @property
    def schema(self) -> IndexSchema:
        """What the vectors of such an index are."""
        return IndexSchema(self.encoder.space, self.encoder.dimension, model_note(self.encoder))

    def fill(self, writer: Writer, records: Iterable[Record]) -> ChangeReport:
        """Put records, encode the texts whose vector is not in the store yet, and commit."""
        sample = QuerySample()
        writer.put(sample.watch(records) if self.queries is None else records)
        choice = writer.choice()
        if self.announce:
            self.announce(choice)
        encode_pending(writer, self.encoder, self.progress)
        tune_with(writer, self.encoder, choice, sample.queries() if self.queries is None else self.queries)
        return writer.commit()


def build(
    path: str | Path,
    documents: Iterable[Document],
    options: BuildOptions,
    filling: Filling,
    *,
    overwrite: bool,
    resume: bool,
) -> tuple[Index, ChangeReport]:
    """Build an index of documents that are read to the end before the folder is touched."""
    with ExitStack() as stack, read_whole(documents, filling.encoder.space) as records:
        index = stack.enter_context(Index.create(path, filling.schema, options, overwrite=overwrite, resume=resume))
        with index.writer(replace=True) as writer:
            report = filling.fill(writer, records)
        stack.pop_all()
    return index, report


def reencode(
    path: str | Path, options: BuildOptions | None, filling: Filling, *, resume: bool, wait: float | None
) -> tuple[Index, ChangeReport]:
    """Build an index anew, beside itself, from the documents that it stores; nobody else writes meanwhile.

    options: None for those that it has.
    """
    with Listing(path) as present:
        chosen = options or present.options
    with ExitStack() as stack:
        index = Index.create(path, filling.schema, chosen, overwrite=True, resume=resume, wait=wait)
        stack.enter_context(index)
        with index.writer(replace=True, wait=wait) as writer, Listing(path) as present:
            report = filling.fill(writer, stored_records(present, filling.encoder.space))
        stack.pop_all()
    return index, report


def check_free(path: str | Path) -> None:
    """Refuse a path that holds an index before the corpus is read, which may take long."""
    try:
        Index.open(path).close()
    except IndexNotFoundError:
        return
    raise IndexExistsError(f"{path} holds an index already: say overwrite to replace it")
