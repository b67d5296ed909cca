"""The half of a retriever that changes its index, each command all at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, overload

from ..encoders import TwinEncoder
from ..errors import IndexFolderError, InvalidInputError
from ..index import ChangePlan, ChangeReport, CommitInfo, DeleteReport, GcReport, Index, Writer
from .checks import as_ids
from .evidence import key_space, maker_of
from .models import check_space
from .plan import Planned, Progress, carry_out, read_whole
from .records import Document
from .tuning_queries import is_tuned, sampled_queries, tune_with


class Updates:
    """What changes an index with its model; ``Retriever`` adds what asks it.

    Documents are read to the end before the index is locked, and only texts that it has no vector for are encoded:
    none of an unchanged document, none where metadata alone changed.

    ``progress`` is told ``(done, total)`` in texts encoded, ``planned`` what will be done before any is; with
    ``dry_run`` that is given back, and nothing is done. ``wait`` is the seconds to wait for somebody else who writes;
    None gives up at once. All raise IndexLockedError where waiting does not help; the index is then as it was.
    """

    def __init__(self, index: Index, encoder: TwinEncoder) -> None:
        self.index, self.encoder = index, encoder
        self.last_report: ChangeReport | None = None

    @overload
    def upsert(
        self,
        documents: Iterable[Document],
        progress: Progress | None = None,
        *,
        dry_run: Literal[False] = False,
        planned: Planned | None = None,
        wait: float | None = None,
    ) -> ChangeReport: ...

    @overload
    def upsert(
        self, documents: Iterable[Document], progress: None = None, *, dry_run: Literal[True], wait: float | None = None
    ) -> ChangePlan: ...

    def upsert(
        self,
        documents: Iterable[Document],
        progress: Progress | None = None,
        *,
        dry_run: bool = False,
        planned: Planned | None = None,
        wait: float | None = None,
    ) -> ChangeReport | ChangePlan:
        """Add documents, or replace those of the same id, all at once; the rest stay.

        Raises InvalidInputError for documents that cannot be taken, SpaceMismatchError when another process has built
        the index with another model; the index is then as it was.
        """
        with self._staged(documents, sync=False, wait=wait) as writer:
            return writer.plan() if dry_run else self._carry_out(writer, progress, planned)

    @overload
    def sync(
        self,
        documents: Iterable[Document],
        progress: Progress | None = None,
        *,
        dry_run: Literal[False] = False,
        allow_empty: bool = False,
        planned: Planned | None = None,
        wait: float | None = None,
    ) -> ChangeReport: ...

    @overload
    def sync(
        self, documents: Iterable[Document], progress: None = None, *, dry_run: Literal[True], wait: float | None = None
    ) -> ChangePlan: ...

    def sync(
        self,
        documents: Iterable[Document],
        progress: Progress | None = None,
        *,
        dry_run: bool = False,
        allow_empty: bool = False,
        planned: Planned | None = None,
        wait: float | None = None,
    ) -> ChangeReport | ChangePlan:
        """Make the index hold exactly these documents: like ``upsert``, and all others are removed.

        allow_empty: remove all documents where none are given; refused otherwise, since an export that failed looks so.

        Raises InvalidInputError for that and for documents that cannot be taken, SpaceMismatchError when another
        process has built the index with another model; the index is then as it was.
        """
        with self._staged(documents, sync=True, wait=wait) as writer:
            if dry_run:
                return writer.plan()
            if not allow_empty:
                _check_not_empty(writer.plan())
            return self._carry_out(writer, progress, planned)

    def delete(self, ids: Iterable[str], *, wait: float | None = None) -> DeleteReport:
        """Delete documents by id, all at once; ids that are not there are counted as missing.

        Raises InvalidInputError for what is no id, DuplicateIdError for an id that comes twice.
        """
        wanted = as_ids(ids)
        with self.index.writer(wait=wait) as writer:
            writer.delete(wanted)
            report = writer.commit()
        return DeleteReport(report.removed, report.missing)

    def compact(self, tune_queries: Sequence[str] | None = None, *, wait: float | None = None) -> int:
        """Write a new segment of what lives, as ``Index.compact``, and give its generation.

        An approximate index that was tuned without queries is tuned with titles and spans of its documents.

        tune_queries: what users ask, to tune the search effort with from now on.

        Raises SpaceMismatchError when another process has built the index with another model; else as
        ``Index.compact``.
        """
        check_space(self.index, self.encoder)
        tuning = self.index.info().tuning
        if tune_queries is None and tuning is not None and not tuning.proxy:
            return self.index.compact(wait=wait)
        with self.index.writer(wait=wait) as writer:
            check_space(self.index, self.encoder)
            choice = writer.choice()
            if is_tuned(choice, self.index.options):
                queries = sampled_queries(self.index.path) if tune_queries is None else tune_queries
                tune_with(writer, self.encoder, queries)
            return writer.commit(compact=True).generation

    def history(self) -> list[CommitInfo]:
        """The commits that the index remembers, the last one first."""
        return self.index.history()

    def rollback(self, commits: int = 1, *, wait: float | None = None) -> ChangeReport:
        """Undo the last changes, documents and all, by a new commit; see ``Index.rollback``.

        Back in a time when the index held another vector space, this retriever can search it no longer: open it again.

        Raises InvalidInputError where history does not reach back so far.
        """
        self.last_report = self.index.rollback(commits, wait=wait)
        return self.last_report

    def gc(self, keep: int, *, wait: float | None = None) -> GcReport:
        """Forget history before the last ``keep`` changes; raises InvalidInputError for a negative ``keep``."""
        return self.index.gc(keep, wait=wait)

    @contextmanager
    def _staged(self, documents: Iterable[Document], *, sync: bool, wait: float | None) -> Iterator[Writer]:
        check_space(self.index, self.encoder)
        schema = self.index.schema
        with read_whole(documents, key_space(schema)) as records, self.index.writer(sync=sync, wait=wait) as writer:
            check_space(self.index, self.encoder)
            if self.index.schema.evidence != schema.evidence:
                raise IndexFolderError(f"{self.index.path} was built otherwise meanwhile: try again")
            writer.put(records)
            yield writer

    def _carry_out(self, writer: Writer, progress: Progress | None, planned: Planned | None) -> ChangeReport:
        if planned is not None:
            planned(writer.plan())
        self.last_report = carry_out(writer, self.encoder, maker_of(self.index.schema), progress)
        return self.last_report


def _check_not_empty(plan: ChangePlan) -> None:
    if plan.removed and not plan.added + plan.changed + plan.unchanged:
        raise InvalidInputError(
            f"the corpus is empty, and a sync would remove all {plan.removed} documents: check its source, "
            "or allow it to be empty"
        )
