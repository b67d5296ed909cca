"""The one writer: stages a command, stores vectors durably, makes everything visible in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .changes import Changes, apply_staged, count_staged, count_vectors
from .choice import Choice, choose
from .creation import check_begun
from .evidence import Evidence, check_evidence
from .evidence_rows import rows_of
from .layout import Layout
from .options import VECTOR_TYPES, IndexSchema
from .records import KEY_BYTES, ChangePlan, ChangeReport, Record
from .segment import SegmentRequest
from .session import Published, Session
from .spool import Spool, forget_spooled
from .staging import Staging
from .store import Build, Command, Commit, faults_named, pending_build, transaction, unsynced
from .vectors import check_vectors, forget_damaged_vectors, forget_moved_vectors, store_vectors


class Writer:
    """One command of changes, as a context. Leaving it without ``commit`` changes nothing visible.

    replace: the documents put become the whole index, in a new segment, with the schema and options of a build that
        ``Index.create`` began.
    sync: the documents put become the whole index, which stays as it is built: what changed waits in the tail.
    repair: with ``replace``: no stored vector counts but a fresh one that matches its hash.
    rebuild: the commit makes all that is derived from nothing; damage to it does not matter.
    wait: seconds to wait for somebody else who writes; None gives up at once.
    begun: what the caller's vectors are, refused where somebody else began a build of other ones meanwhile.

    Entering raises IndexLockedError while somebody else writes, IndexUnfinishedError where nothing was created.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        replace: bool = False,
        sync: bool = False,
        repair: bool = False,
        rebuild: bool = False,
        wait: float | None = None,
        begun: IndexSchema | None = None,
    ) -> None:
        if replace + sync + rebuild > 1:
            raise InvalidInputError("a writer replaces, syncs or rebuilds: choose one of them")
        if repair and not replace:
            raise InvalidInputError("a writer that repairs replaces the whole index: say replace too")
        self._layout = layout
        self._replace, self._sync, self._repair, self._rebuild = replace, sync, repair, rebuild
        self._session, self._begun = Session(layout, wait), begun
        self._queries: NDArray[np.float32] | None = None
        self._committed = False
        self._stack = ExitStack()

    def __enter__(self) -> Writer:
        with ExitStack() as stack:
            stack.enter_context(self._session)
            self._connection = self._session.connection
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

        Raises DuplicateIdError for an id that this command staged already, InvalidInputError for what is no Record.
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

    def put_vectors(self, keys: Sequence[bytes], matrix: NDArray[np.float32], evidence: Evidence | None = None) -> None:
        """Store vectors: on return they survive a kill, once ``commit`` has returned a power loss too.

        A key that is known keeps its vector and its evidence.

        keys: 32 bytes each. matrix: ``(len(keys), dimension)`` float32 unit rows. evidence: of each, where kept.

        Raises InvalidInputError for another shape, rows that are not unit vectors, or evidence not as the schema says.
        """
        self._check_open()
        schema, options = self._target.schema, self._target.options
        vectors = check_vectors(matrix, schema.dimension).astype(VECTOR_TYPES[options.vector_type], copy=False)
        if len(keys) != len(vectors) or any(len(key) != KEY_BYTES for key in keys):
            raise InvalidInputError(f"{len(vectors)} vectors need as many keys of {KEY_BYTES} bytes, not {len(keys)}")
        entries = check_evidence(evidence, schema.evidence, len(keys))
        with faults_named(self._layout), unsynced(self._connection), self._connection:
            if self._spool is not None:
                self._spool.append(keys, vectors, entries)
                return
            evidence_rows = rows_of(entries, schema.evidence)
            store_vectors(self._connection, keys, vectors, evidence_rows, again=self._rebuilding)

    def tune_with(self, queries: NDArray[np.float32]) -> None:
        """Hand in vectors of real queries, ``(q, dim)`` float32 unit rows, to tune the search effort with from now on.

        Without any, it is tuned with perturbed documents, and ``Tuning.proxy`` says so.

        Raises InvalidInputError as ``put_vectors``.
        """
        self._check_open()
        self._queries = check_vectors(queries, self._target.schema.dimension)

    def plan(self) -> ChangePlan:
        """What ``commit`` would do with what is staged so far; no vector need be put before, and nothing is written."""
        self._check_open()
        with faults_named(self._layout):
            done = count_staged(self._connection, self._session.documents, self._replace or self._sync)
            to_encode = self._staging.pending_count()
        return ChangePlan(done.added, done.changed, done.unchanged, done.removed, done.missing, to_encode)

    def choice(self) -> Choice:
        """What a segment of all that would be live is built as, why, and how large it is about; before it is encoded.

        Raises InvalidInputError where nothing fits the memory budget.
        """
        self._check_open()
        with faults_named(self._layout):
            count = count_vectors(self._connection, self._replace or self._sync)
        return choose(count, self._target.schema.dimension, self._target.options)

    def commit(self, *, compact: bool = False) -> ChangeReport:
        """Make the whole command visible, durably, in one transaction; a writer commits once.

        A build also publishes a new segment; other commits leave that to ``Index.compact``, due when ``Index.is_worn``.

        compact: publish one in any case.

        Raises InvalidInputError when a staged document has no vector or the ANN index fails its self-recall; the
        index is then as it was. Tidying up that fails afterwards is logged as a warning, and left to the next writer.
        """
        self._check_open()
        self._committed = True
        with faults_named(self._layout), transaction(self._connection):
            report, published = self._apply(compact)
        self._session.tidy(published)
        return report

    def _pending(self, batch_rows: int) -> Iterator[list[tuple[bytes, str]]]:
        with faults_named(self._layout):
            yield from self._staging.pending(batch_rows)

    def _begin(self) -> None:
        build = pending_build(self._connection)
        current = self._session.current
        if build is not None and not self._sync and (self._replace or current is None):
            self._replace = True
            self._target = build
        else:
            commit = self._session.commit
            self._target = Build(commit.schema, commit.options)
        if self._replace and self._begun is not None:
            check_begun(self._layout, self._target.schema, self._begun)
        self._rebuilding = current is not None and self._is_damaged(build)
        spooling = self._replace and not self._rebuilding
        self._spool = Spool(self._connection, self._layout, self._target.schema.evidence) if spooling else None
        self._staging = Staging(self._connection, self._spool, again=self._rebuilding)

    def _is_damaged(self, build: Build | None) -> bool:
        """Whether the segment is damaged and being rebuilt, so that its vectors are asked for again."""
        if self._repair:
            forget_damaged_vectors(self._connection, self._target.schema.evidence)
            return True
        try:
            if self._replace:
                self._session.segment(derived=False)
            else:
                self._session.check_sizes(derived=not self._rebuild)
        except IndexDamagedError:
            if not self._replace or build is None:
                raise
            return True
        return False

    def _apply(self, compact: bool) -> tuple[ChangeReport, Published | None]:
        session, publishing = self._session, compact or self._replace or self._rebuild
        if self._rebuilding:
            forget_moved_vectors(self._connection)
            forget_spooled(self._connection)
        if self._spool is not None:
            self._spool.adopt()
        whole, evidence = self._replace or self._sync, self._target.schema.evidence
        done = apply_staged(self._connection, session.number, session.documents, whole, evidence)
        counts = (done.added, done.changed, done.unchanged, done.removed)
        documents = session.documents + done.added - done.removed
        published = None
        if publishing or not done.nothing:
            command = Command(self._kind(done), *counts)
            commit = session.add_commit(documents, self._target, command, publishing=publishing)
            published = self._publish(commit) if publishing else None
        return ChangeReport(*counts, done.missing, documents, session.generation + publishing), published

    def _kind(self, done: Changes) -> str:
        if self._replace:
            return "build"
        if done.nothing:
            return "compact"
        return "sync" if self._sync else "update"

    def _publish(self, commit: Commit) -> Published:
        if self._replace:
            self._connection.execute("DELETE FROM builds")
        anew = self._replace or self._rebuild
        previous = None if self._rebuilding else self._session.segment(derived=not anew)
        return self._session.publish(SegmentRequest(commit, previous, anew, self._queries, self._spool))

    def _check_open(self) -> None:
        if self._committed:
            raise InvalidInputError("this writer has committed: open another one")
