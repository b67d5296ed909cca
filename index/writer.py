"""The one writer: stages a command, stores vectors durably, makes everything visible in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from types import TracebackType

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexUnfinishedError, InvalidInputError
from .changes import apply_staged, count_staged
from .layout import Layout, keep_only_segment
from .lock import WriterLock
from .maintenance import tidy
from .publish import publish
from .records import KEY_BYTES, ChangePlan, ChangeReport, Record
from .segment import Segment, SegmentDescription
from .snapshot import load_segment
from .staging import Staging
from .store import Build, Commit, add_commit, checkpoint, current_commit, faults_named, open_writer, pending_build
from .vectors import check_vectors, forget_moved_vectors, store_vector

_log = logging.getLogger(__name__)


class Writer:
    """One command of changes, as a context. Leaving it without ``commit`` changes nothing visible.

    replace: the documents put become the whole index, in a new segment, with the schema and options of a build that
        ``Index.create`` began.
    sync: the documents put become the whole index, which stays as it is built: what changed waits in the tail.

    Entering raises IndexLockedError while somebody else writes, IndexUnfinishedError where nothing was
    created.
    """

    def __init__(self, layout: Layout, *, replace: bool = False, sync: bool = False) -> None:
        if replace and sync:
            raise InvalidInputError("a writer replaces or syncs: choose one of them")
        self._layout = layout
        self._replace, self._sync = replace, sync
        self._lock = WriterLock(layout.lock)
        self._committed = False
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        with ExitStack() as stack:
            stack.enter_context(self._lock)
            self._connection = stack.enter_context(closing(open_writer(self._layout)))
            with faults_named(self._layout):
                self._begin()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, records: Iterable[Record]) -> None:
        """Stage documents to add or replace: all of them or, when one is refused, none.

        Raises DuplicateIdError for an id that this command staged already, InvalidInputError for what is no
        Record.
        """
        self._check_open()
        with faults_named(self._layout):
            self._staging.put(records)

    def delete(self, ids: Iterable[str]) -> None:
        """Stage deletions: all of them or, when one is refused, none. Unknown ids are counted as missing.

        Raises DuplicateIdError for an id that this command staged already.
        """
        self._check_open()
        with faults_named(self._layout):
            self._staging.delete(ids)

    def pending_count(self) -> int:
        """How many distinct vectors the staged documents still need."""
        self._check_open()
        with faults_named(self._layout):
            return self._staging.pending_count()

    def pending(self, batch_rows: int) -> Iterator[list[tuple[bytes, str]]]:
        """The vectors still needed, in batches of (vector_key, payload of one document), shortest first.

        Vectors may be put while this is iterated. Raises InvalidInputError for batches below one row.
        """
        self._check_open()
        if batch_rows < 1:
            raise InvalidInputError(f"batch_rows must be at least 1, not {batch_rows}")
        return self._pending(batch_rows)

    def put_vectors(self, keys: Sequence[bytes], matrix: NDArray[np.float32]) -> None:
        """Store vectors durably: on return they survive a kill. A key that is known keeps its vector.

        keys: 32 bytes each. matrix: ``(len(keys), dimension)`` float32 unit rows.

        Raises InvalidInputError for another shape, NaN, infinities, or rows that are not unit vectors.
        """
        self._check_open()
        vectors = check_vectors(matrix, self._target.schema.dimension)
        if len(keys) != len(vectors) or any(len(key) != KEY_BYTES for key in keys):
            raise InvalidInputError(f"{len(vectors)} vectors need as many keys of {KEY_BYTES} bytes, not {len(keys)}")
        with faults_named(self._layout), self._connection:
            for key, vector in zip(keys, vectors, strict=True):
                store_vector(self._connection, key, vector.tobytes(), again=self._rebuilding)

    def plan(self) -> ChangePlan:
        """What ``commit`` would do with what is staged so far; no vector need be put before, and nothing is written."""
        self._check_open()
        with faults_named(self._layout):
            done = count_staged(self._connection, self._documents, self._replace or self._sync)
            to_encode = self._staging.pending_count()
        return ChangePlan(done.added, done.changed, done.unchanged, done.removed, done.missing, to_encode)

    def commit(self, *, compact: bool = False) -> ChangeReport:
        """Make the whole command visible, durably, in one transaction; a writer commits once.

        A build also publishes a new segment; other commits leave that to ``Index.compact``, which is due when
        ``Index.is_worn``.

        compact: publish one in any case.

        Raises InvalidInputError when a staged document has no vector or the graph fails its self-recall; the
        index is then as it was. Once this returns the change is durable: tidying up that fails afterwards is logged
        as a warning, and left to the next writer.
        """
        self._check_open()
        self._committed = True
        with faults_named(self._layout), self._connection:
            report, published = self._apply(compact)
        self._tidy(published)
        return report

    def _pending(self, batch_rows: int) -> Iterator[list[tuple[bytes, str]]]:
        with faults_named(self._layout):
            yield from self._staging.pending(batch_rows)

    def _begin(self) -> None:
        self._current = current_commit(self._connection)
        self._documents = 0 if self._current is None else self._current.documents
        keep_only_segment(self._layout, 0 if self._current is None else self._current.generation)
        build = pending_build(self._connection)
        if build is not None and not self._sync and (self._replace or self._current is None):
            self._replace = True
            self._target = build
        elif self._current is not None:
            self._target = Build(self._current.schema, self._current.options)
        else:
            raise IndexUnfinishedError(f"{self._layout.folder} holds no index: create one there first")
        self._segment = None if self._current is None else self._open_segment(build)
        self._rebuilding = self._current is not None and self._segment is None
        self._staging = Staging(self._connection, again=self._rebuilding)

    def _open_segment(self, build: Build | None) -> Segment | None:
        """The current segment; None when it is damaged and being rebuilt, so that its vectors are asked for again."""
        try:
            segment = load_segment(self._connection, self._layout)
            if self._replace:
                self._check_seals(segment)
        except IndexDamagedError:
            if not self._replace or build is None:
                raise
            return None
        return segment

    def _check_seals(self, segment: Segment) -> None:
        segment.check_seals(self._layout.segment(segment.description.generation))

    def _apply(self, compact: bool) -> tuple[ChangeReport, tuple[Commit, SegmentDescription] | None]:
        number = 1 if self._current is None else self._current.number + 1
        generation = 0 if self._current is None else self._current.generation
        if self._rebuilding:
            forget_moved_vectors(self._connection)
        done = apply_staged(self._connection, number, self._documents, self._replace or self._sync)
        publishing = compact or self._replace
        documents = self._documents + done.added - done.removed
        made = datetime.now(timezone.utc).isoformat(timespec="seconds")
        commit = Commit(number, made, generation + publishing, documents, self._target.schema, self._target.options)
        if publishing or not done.nothing:
            add_commit(self._connection, commit)
        published = (commit, self._publish(commit)) if publishing else None
        counts = (done.added, done.changed, done.unchanged, done.removed, done.missing)
        return ChangeReport(*counts, documents, commit.generation), published

    def _publish(self, commit: Commit) -> SegmentDescription:
        if self._replace:
            self._connection.execute("DELETE FROM builds")
        elif self._segment is not None:
            self._check_seals(self._segment)
        return publish(self._connection, self._layout, commit, self._segment)

    def _tidy(self, published: tuple[Commit, SegmentDescription] | None) -> None:
        try:
            if published is not None:
                tidy(self._connection, self._layout, *published)
            checkpoint(self._connection)
        except (OSError, apsw.Error) as error:
            _log.warning("%s: the change is committed, tidying up is left to the next: %s", self._layout.folder, error)

    def _check_open(self) -> None:
        if self._committed:
            raise InvalidInputError("this writer has committed: open another one")
