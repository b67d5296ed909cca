"""One writer at a time, by a lock that the kernel frees when its process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from ..errors import IndexFolderError, IndexLockedError


class WriterLock:
    """A context in which no other process, and no other writer of this process, writes to the index.

    Raises IndexLockedError at once when somebody else holds it, IndexFolderError when the folder cannot be
    written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def __enter__(self) -> WriterLock:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise IndexFolderError(
                f"{self._path.parent} cannot be written ({error.strerror}): check its permissions"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise self._refusal(error) from error
        self._descriptor = descriptor
        _held.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _held.discard(self)
        self._let_go()

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _refusal(self, error: OSError) -> IndexFolderError:
        folder = self._path.parent
        if isinstance(error, BlockingIOError):
            return IndexLockedError(f"{folder} is being written by another process: try again later")
        return IndexFolderError(
            f"{folder} cannot be locked ({error.strerror}): keep the index on a file system with locks"
        )


_held: set[WriterLock] = set()
"""The locks that this process holds."""


def _forget_in_child() -> None:
    # flock belongs to the open file, which a forked child shares: it would keep the lock of a dead parent.
    for lock in _held:
        lock._let_go()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
