"""A read-only connection to the store, good for one thread at a time, that also follows a store it cannot log to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar
from urllib.parse import quote

import apsw

from ..errors import IndexDamagedError, IndexNotFoundError, IndexUnfinishedError, InvalidInputError
from .layout import Layout
from .store import BUSY_MS, check_format, faults_named

_Result = TypeVar("_Result")
_Mark = tuple[tuple[int, int, int], ...]


class ReadConnection:
    """The store, opened to read.

    In a folder that it cannot write, SQLite reads a store only when told that nothing will change. Somebody else may
    change it all the same: then it is opened again, and what was read meanwhile is read anew.

    Raises IndexNotFoundError, IndexDamagedError, or IndexFolderError for a newer format.
    """

    def __init__(self, layout: Layout) -> None:
        if not layout.store.is_file():
            raise IndexNotFoundError(f"{layout.folder} is not an index: build one there first")
        self._layout = layout
        self._openings = 0
        self._closed = False
        self._open()

    def read(self, ask: Callable[[apsw.Connection], _Result]) -> _Result:
        """What ``ask`` reads from the store.

        Raises InvalidInputError once this is closed, IndexDamagedError and IndexFolderError for faults of the store.
        """
        if self._closed:
            raise InvalidInputError(f"{self._layout.folder} was closed here: open it again to read it")
        with _values_checked(self._layout), faults_named(self._layout):
            while True:
                try:
                    found = ask(self._connection)
                except (apsw.Error, IndexDamagedError, TypeError, ValueError):
                    if not self._follow():
                        raise
                else:
                    if not self._follow():
                        return found

    def version(self) -> tuple[int, int]:
        """Changes whenever somebody else has committed; to be called inside ``read``."""
        return self._openings, int(self._connection.pragma("data_version"))

    def close(self) -> None:
        """Let go of the store."""
        self._closed = True
        self._connection.close()

    def _follow(self) -> bool:
        """Open an immutable store again if it has changed; says whether it had."""
        if self._mark is None or self._mark == _mark(self._layout):
            return False
        old = self._connection
        self._open()
        old.close()
        return True

    def _open(self) -> None:
        with faults_named(self._layout):
            # Looked at before opening: a change in between is then seen by the next call.
            mark = _mark(self._layout)
            connection, immutable = _connect(self._layout)
            try:
                check_format(connection, self._layout)
            except BaseException:
                connection.close()
                raise
        self._connection, self._mark = connection, mark if immutable else None
        self._openings += 1


@contextmanager
def _values_checked(layout: Layout) -> Iterator[None]:
    """Damage may have put a value of another type in a column, or a text that is none."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise IndexDamagedError(f"{layout.store} holds what nobody wrote ({error}): restore the index") from error


def _connect(layout: Layout) -> tuple[apsw.Connection, bool]:
    """A connection, and whether it is one that does not see what others write."""
    try:
        return _opened(layout, ""), False
    except (apsw.CantOpenError, apsw.ReadOnlyError, apsw.FullError, apsw.IOError) as error:
        if layout.journal.exists():
            raise IndexUnfinishedError(
                f"{layout.folder} holds a build that was stopped as it began: build it again"
            ) from error
    # No place for the index of the log that processes share: in a folder that may not be written, or on a full disk.
    # With a log that a crash left, the exclusive mode keeps that index in this process's own memory.
    return _opened(layout, "&vfs=unix-none" if layout.log_size() else "&immutable=1"), True


def _opened(layout: Layout, how: str) -> apsw.Connection:
    address = f"file:{quote(str(layout.store.absolute()))}?mode=ro{how}"
    connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        connection.set_busy_timeout(BUSY_MS)
        if "unix-none" in how:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.pragma("locking_mode", "exclusive")
        connection.pragma("user_version")
    except BaseException:
        connection.close()
        raise
    return connection


def _mark(layout: Layout) -> _Mark:
    """What changes with the store's file and with its log."""
    found = []
    for path in (layout.store, layout.log):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue
        found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)
