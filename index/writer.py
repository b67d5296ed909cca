"""The one writer: stages a command, stores vectors durably, makes everything visible in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError, IndexUnfinishedError, InvalidInputError
from .changes import apply_staged
from .layout import Layout, keep_only_segment
from .lock import WriterLock
from .maintenance import is_worn, tidy
from .publish import publish
from .records import KEY_BYTES, ChangeReport, Record
from .segment import Segment, SegmentDescription
from .snapshot import load_segment
from .staging import Staging
from .store import Build, Commit, add_commit, current_commit, faults_named, open_writer, pending_build
from .vectors import check_vectors, forget_moved_vectors, store_vector


class Writer:
    """One command of changes, as a context. Leaving it without ``commit`` changes nothing visible.

    replace: the documents put become the whole index (and a build begun by ``Index.create`` its schema and
        options).

    Entering raises IndexLockedError while somebody else writes, IndexUnfinishedError where nothing was
    created.
    """

    def __init__(self, layout: Layout, *, replace: bool) -> None:
        self._layout = layout
        self._replace = replace
        self._lock = WriterLock(layout.lock)
        self._committed = False

    def __enter__(self) -> Writer:
        self._lock.__enter__()
        try:
            self._connection = open_writer(self._layout)
            with faults_named(self._layout):
                self._begin()
        except BaseException:
            self._lock.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._lock.__exit__(kind, error, trace)

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
        return self._staging.pending(batch_rows)

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
                store_vector(self._connection, key, vector.tobytes())

    def commit(self, *, compact: bool = False) -> ChangeReport:
        """Make the whole command visible, durably, in one transaction; a writer commits once.

        A build, and a commit that leaves too large a tail or too many dead, also publishes a new segment.

        compact: publish one in any case.

        Raises InvalidInputError when a staged document has no vector or the graph fails its self-recall; the
        index is then as it was.
        """
        self._check_open()
        self._committed = True
        with faults_named(self._layout):
            with self._connection:
                report, published = self._apply(compact)
            if published is not None:
                self._tidy(*published)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return report

    def _begin(self) -> None:
        self._current = current_commit(self._connection)
        keep_only_segment(self._layout, 0 if self._current is None else self._current.generation)
        build = pending_build(self._connection)
        if build is not None and (self._replace or self._current is None):
            self._replace = True
            self._target = build
        elif self._current is not None:
            self._target = Build(self._current.schema, self._current.options)
        else:
            raise IndexUnfinishedError(f"{self._layout.folder} holds no index: create one there first")
        self._segment = None if self._current is None else self._open_segment(build)
        self._staging = Staging(self._connection)

    def _open_segment(self, build: Build | None) -> Segment | None:
        """The current segment; None when it is damaged and being rebuilt, so that its vectors are asked for again."""
        try:
            segment = load_segment(self._connection, self._layout)
            if self._replace:
                self._check_seals(segment)
        except IndexDamagedError:
            if not self._replace or build is None:
                raise
            forget_moved_vectors(self._connection)
            return None
        return segment

    def _check_seals(self, segment: Segment) -> None:
        segment.check_seals(self._layout.segment(segment.description.generation))

    def _apply(self, compact: bool) -> tuple[ChangeReport, tuple[Commit, SegmentDescription] | None]:
        number = 1 if self._current is None else self._current.number + 1
        generation = 0 if self._current is None else self._current.generation
        done = apply_staged(self._connection, number, self._replace)
        publishing = compact or self._replace or (not done.nothing and self._is_worn())
        documents = int(self._connection.execute("SELECT count(*) FROM documents WHERE died IS NULL").get)
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

    def _tidy(self, commit: Commit, segment: SegmentDescription) -> None:
        try:
            tidy(self._connection, self._layout, commit, segment)
        except OSError as error:
            raise IndexFolderError(
                f"the change is committed, but {self._layout.folder} could not be tidied ({error.strerror}): "
                "free space and compact"
            ) from error

    def _is_worn(self) -> bool:
        return self._segment is not None and is_worn(self._connection, self._segment.description, self._target.options)

    def _check_open(self) -> None:
        if self._committed:
            raise InvalidInputError("this writer has committed: open another one")
