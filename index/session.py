"""What every command that writes stands on: the lock, the one connection, the commit it found, the next one."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import datetime, timezone
from types import TracebackType

import apsw

from ..errors import IndexFolderError, IndexLockedError, IndexUnfinishedError
from .columns import keep_columns
from .layout import Layout, keep_only_segment
from .lock import WriterLock
from .maintenance import tidy
from .publish import publish
from .segment import DERIVED, Segment, SegmentDescription, SegmentRequest, check_size
from .snapshot import describe_segment, load_segment
from .spool import remove_unused
from .store import Build, Command, Commit, add_commit, checkpoint, current_commit, faults_named, open_writer
from .words import add_born

LOG_LIMIT = 4 << 20
"""Bytes that the store's log may reach before a command empties it; the last to close the index does in any case."""
_log = logging.getLogger(__name__)


class Session:
    """One command's hold of the index, as a context; nobody else writes meanwhile.

    wait: seconds to wait for somebody else who writes.

    Entering raises IndexLockedError while somebody else writes, IndexFolderError where the folder cannot be written.
    """

    def __init__(self, layout: Layout, wait: float | None = None) -> None:
        self.layout = layout
        self.lock = WriterLock(layout.lock, wait)
        self._segment: Segment | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Session:
        with ExitStack() as stack:
            stack.enter_context(self.lock)
            self.connection = stack.enter_context(closing(open_writer(self.layout)))
            with faults_named(self.layout):
                self.current = current_commit(self.connection)
            keep_only_segment(self.layout, self.generation)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def number(self) -> int:
        """What the next commit is called."""
        return 1 if self.current is None else self.current.number + 1

    @property
    def generation(self) -> int:
        """The current one, 0 before the first."""
        return 0 if self.current is None else self.current.generation

    @property
    def documents(self) -> int:
        """How many live now."""
        return 0 if self.current is None else self.current.documents

    @property
    def commit(self) -> Commit:
        """The current one; raises IndexUnfinishedError before the first."""
        if self.current is None:
            raise IndexUnfinishedError(f"{self.layout.folder} holds no index: create one there first")
        return self.current

    def check_sizes(self, *, derived: bool = True) -> None:
        """Raise IndexDamagedError unless the current segment's files are there in full length; maps none.

        derived: whether what can be made anew is looked at.
        """
        description = describe_segment(self.connection, self.layout)
        folder = self.layout.segment(description.generation)
        for name, seal in description.files.items():
            if derived or name not in DERIVED:
                check_size(folder / name, seal)

    def segment(self, *, derived: bool = True) -> Segment | None:
        """The current segment, mapped and held against its checksums when it is first asked for; None without one.

        derived: whether it comes with what can be made anew; False where that may be damaged.
        """
        if self._segment is None and self.current is not None:
            segment = load_segment(self.connection, self.layout, derived=derived)
            segment.check_seals(self.layout.segment(segment.description.generation), derived=derived)
            self._segment = segment
        return self._segment

    def add_commit(self, documents: int, target: Build, command: Command, *, publishing: bool) -> Commit:
        """Note the next commit in the surrounding transaction, and have SQLite index what its options say."""
        before = () if self.current is None else self.current.options.filterable
        if before != target.options.filterable:
            keep_columns(self.connection, target.options.filterable)
        made = datetime.now(timezone.utc).isoformat(timespec="seconds")
        generation = self.generation + publishing
        commit = Commit(self.number, made, generation, documents, target.schema, target.options, command)
        add_commit(self.connection, commit)
        if not publishing:
            add_born(self.connection, commit)
        return commit

    def publish(self, request: SegmentRequest) -> Published:
        """Write a segment; it is current when the surrounding transaction ends."""
        return Published(request.commit, publish(self.connection, self.layout, request))

    def tidy(self, published: Published | None, *, shrink: bool = False) -> None:
        """What may be done once the transaction has ended: the change is durable, so a failure is only logged.

        shrink: give unused pages of the store back to the disk.
        """
        try:
            remove_unused(self.connection, self.layout)
            if published is not None:
                tidy(self.connection, self.layout, published.commit, published.segment)
            if shrink:
                self.connection.execute("PRAGMA incremental_vacuum").fetchall()
            if shrink or published is not None or self.layout.log_size() > LOG_LIMIT:
                checkpoint(self.connection)
        except (OSError, apsw.Error) as error:
            _log.warning("%s: the change is committed, tidying up is left to the next: %s", self.layout.folder, error)


def settle(layout: Layout) -> None:
    """Empty the store's log, so that the folder can be read by who may not write there.

    Does nothing while somebody else writes: that one does so when it closes its index.
    """
    if not layout.log_size():
        return
    try:
        with Session(layout) as session:
            checkpoint(session.connection)
    except IndexLockedError:
        return
    except (IndexFolderError, apsw.Error) as error:
        _log.warning("%s: the log could not be emptied, which is left to the next: %s", layout.folder, error)


@dataclass(frozen=True, slots=True)
class Published:
    """A commit and the segment that was written for it."""

    commit: Commit
    segment: SegmentDescription
