"""Builds an index from documents: new, over one that is there, or anew from what that one stores with another model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from ..encoders import STARTER, TwinEncoder
from ..errors import IndexExistsError, IndexNotFoundError
from ..index import BuildOptions, ChangeReport, Choice, Index, IndexSchema, Listing, Record, Writer
from .evidence import EvidenceMaker, EvidenceOptions, key_space
from .filters import paths_of
from .models import Model, load, model_note
from .plan import Progress, encode_pending, read_whole, stored_records
from .records import Document
from .tuning_queries import QuerySample, is_tuned, tune_with
from .updates import Updates

Announce = Callable[[Choice], None]
"""Told what the index will be, before anything is encoded."""
_Own = TypeVar("_Own", bound="Builds")


class Builds(Updates):
    """What makes an index whole and gives a retriever of it.

    ``tune_queries`` is what users will ask, to tune the search effort of an approximate index with; None for titles and
    short spans of the documents. ``announce`` is told what the index will be, why, and how large, before anything is
    encoded; ``progress`` is told ``(done, total)`` in texts encoded. ``resume`` goes on with a command that was
    stopped, keeping the vectors it had encoded.
    """

    @classmethod
    def build(  # noqa: PLR0913 - the front door: four things and how, by keyword
        cls: type[_Own],
        path: str | Path,
        documents: Iterable[Document],
        model: Model = STARTER,
        options: BuildOptions | None = None,
        *,
        evidence: EvidenceOptions | None = EvidenceOptions(),  # noqa: B008 - frozen
        filterable: Sequence[str] = (),
        tune_queries: Sequence[str] | None = None,
        overwrite: bool = False,
        resume: bool = False,
        announce: Announce | None = None,
        progress: Progress | None = None,
        wait: float | None = None,
    ) -> _Own:
        """Encode documents into a new index.

        The documents are read to the end before the folder is touched, and become visible all at once.

        model: ``starter``, a model folder, a hub id, or an encoder that is loaded already.
        evidence: what is cached beside the vectors for the rerank; None for nothing.
        filterable: fields that filters will often ask for: found by an index of SQLite's own rather than by reading
            every document. Any other field can be asked for too.
        overwrite: replace an index that is there; it answers until the new one is complete.
        wait: seconds to wait for somebody else who writes to it.

        Raises InvalidInputError for documents that cannot be taken, ModelError, IndexExistsError,
        IndexUnfinishedError, IndexLockedError or IndexFolderError; the index is then as it was.
        """
        if not (overwrite or resume):
            _check_free(path)
        chosen = options or BuildOptions()
        chosen = replace(chosen, filterable=(*chosen.filterable, *paths_of(filterable)))
        encoder = load(model)
        maker = None if evidence is None else EvidenceMaker.of(evidence, encoder)
        filling = Filling(encoder, maker, tune_queries, announce, progress)
        with ExitStack() as stack, read_whole(documents, filling.key_space) as records:
            index = stack.enter_context(
                Index.create(path, filling.schema, chosen, overwrite=overwrite, resume=resume, wait=wait)
            )
            with index.writer(replace=True, wait=wait) as writer:
                report = filling.fill(writer, records, chosen)
            retriever = cls(index, filling.encoder)
            stack.pop_all()
        retriever.last_report = report
        return retriever

    @classmethod
    def reencode(  # noqa: PLR0913 - as ``build``
        cls: type[_Own],
        path: str | Path,
        model: Model,
        options: BuildOptions | None = None,
        *,
        evidence: EvidenceOptions | None = None,
        tune_queries: Sequence[str] | None = None,
        resume: bool = False,
        announce: Announce | None = None,
        progress: Progress | None = None,
        wait: float | None = None,
    ) -> _Own:
        """Encode the documents of an index with another model; it answers with the old one until all is done.

        The texts come from the index itself. The switch is one commit, which a rollback undoes; whoever has the index
        open with the old model gets SpaceMismatchError from then on. Nobody else writes meanwhile.

        options: None for those that the index has. evidence: None for what the index has, or the defaults where it has
            none.
        wait: seconds to wait for somebody else who writes to it.

        Raises IndexNotFoundError, ModelError, IndexLockedError, IndexDamagedError for documents that were not put by
        a retriever; the index is then as it was.
        """
        encoder = load(model)
        with Listing(path) as present:
            chosen, kept = options or present.options, present.schema.evidence
        if evidence is None and kept is not None:
            maker = EvidenceMaker.stored(kept)
        else:
            maker = EvidenceMaker.of(evidence or EvidenceOptions(), encoder)
        filling = Filling(encoder, maker, tune_queries, announce, progress)
        with ExitStack() as stack:
            index = Index.create(path, filling.schema, chosen, overwrite=True, resume=resume, wait=wait)
            stack.enter_context(index)
            with index.writer(replace=True, wait=wait) as writer, Listing(path) as present:
                report = filling.fill(writer, stored_records(present, filling.key_space), chosen)
            retriever = cls(index, filling.encoder)
            stack.pop_all()
        retriever.last_report = report
        return retriever


@dataclass(frozen=True, slots=True)
class Filling:
    """How a build turns documents into an index, and whom it tells; as ``Builds`` says."""

    encoder: TwinEncoder
    maker: EvidenceMaker | None
    queries: Sequence[str] | None = None
    announce: Announce | None = None
    progress: Progress | None = None

    @property
    def schema(self) -> IndexSchema:
        """What the vectors of such an index are."""
        evidence = None if self.maker is None else self.maker.schema
        return IndexSchema(self.encoder.space, self.encoder.dimension, model_note(self.encoder), evidence)

    @property
    def key_space(self) -> str:
        """What the keys of such an index's vectors are made with."""
        return key_space(self.schema)

    def fill(self, writer: Writer, records: Iterable[Record], options: BuildOptions) -> ChangeReport:
        """Put records, encode the texts whose vector is not in the store yet, and commit a build of ``options``."""
        sample = QuerySample()
        writer.put(sample.watch(records) if self.queries is None else records)
        choice = writer.choice()
        if self.announce:
            self.announce(choice)
        encode_pending(writer, self.encoder, self.maker, self.progress)
        if is_tuned(choice, options):
            tune_with(writer, self.encoder, sample.queries() if self.queries is None else self.queries)
        return writer.commit()


def _check_free(path: str | Path) -> None:
    """Refuse a path that holds an index before the corpus is read, which may take long."""
    try:
        Index.open(path).close()
    except IndexNotFoundError:
        return
    raise IndexExistsError(f"{path} holds an index already: say overwrite to replace it")
