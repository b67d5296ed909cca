"""One writer at a time, by a lock that the kernel frees when its process dies.

The file says who holds it, for people: it may be out of date, and nothing is decided by what it says.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

import msgspec

from ..errors import IndexFolderError, IndexLockedError, InvalidInputError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25
"""Seconds between two tries of a writer that waits: twice as long each time."""
_READ_BYTES, _SHOWN = 1_024, 64
"""Bytes of the file that are read, and characters of a name in it that are shown."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who wrote into the lock: process, machine, program, and since when (ISO 8601, UTC)."""

    pid: int
    host: str
    command: str
    since: str

    @classmethod
    def myself(cls) -> Holder:
        """This process, now."""
        since = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return cls(os.getpid(), socket.gethostname(), Path(sys.argv[0]).name if sys.argv else "", since)

    def __str__(self) -> str:
        place = "" if self.host == socket.gethostname() else f" on {_shown(self.host)}"
        return f"{_shown(self.command) or 'a program'}, process {self.pid}{place}, since {_shown(self.since)}"


class WriterLock:
    """A context in which no other process, and no other writer of this process, writes to the index.

    wait: seconds to wait for somebody else who holds it; None gives up at once.

    Raises IndexLockedError when somebody else holds it, IndexFolderError when the folder cannot be written.
    """

    def __init__(self, path: Path, wait: float | None = None) -> None:
        if wait is not None and not wait >= 0:
            raise InvalidInputError(f"wait must be seconds, 0 or more, not {wait}")
        self._path, self._wait = path, wait or 0.0
        self._descriptor = -1

    def __enter__(self) -> WriterLock:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise IndexFolderError(
                f"{self._path.parent} cannot be written ({error.strerror}): check its permissions"
            ) from error
        try:
            self._acquire(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        _held.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _held.discard(self)
        if self._descriptor >= 0:
            _write(self._descriptor, b"")
        self._let_go()

    def _acquire(self, descriptor: int) -> None:
        deadline, pause = time.monotonic() + self._wait, _FIRST_PAUSE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                left = deadline - time.monotonic()
                if left <= 0 or not isinstance(error, BlockingIOError):
                    raise self._refusal(error, descriptor) from error
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                _write(descriptor, msgspec.json.encode(Holder.myself()))
                return

    def _let_go(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _refusal(self, error: OSError, descriptor: int) -> IndexFolderError:
        folder = self._path.parent
        if not isinstance(error, BlockingIOError):
            return IndexFolderError(
                f"{folder} cannot be locked ({error.strerror}): keep the index on a file system with locks"
            )
        holder = _holder(descriptor)
        told = "" if holder is None else f" ({holder})"
        remedy = f"waited {self._wait:g} seconds, wait longer" if self._wait else "try again later, or wait for it"
        return IndexLockedError(f"{folder} is being written by another process{told}: {remedy}")


def _holder(descriptor: int) -> Holder | None:
    """Who the file says holds the lock; None where it does not say so, or not yet."""
    try:
        return msgspec.json.decode(os.pread(descriptor, _READ_BYTES, 0), type=Holder)
    except (OSError, msgspec.DecodeError):
        return None


def _write(descriptor: int, text: bytes) -> None:
    # Only a courtesy: on a full disk the lock is held all the same.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text, 0)


def _shown(text: str) -> str:
    """What is printed of a name that anybody may have written."""
    return "".join(letter for letter in text[:_SHOWN] if letter.isprintable())


_held: set[WriterLock] = set()
"""The locks that this process holds."""


def _forget_in_child() -> None:
    # flock belongs to the open file, which a forked child shares: it would keep the lock of a dead parent.
    for lock in _held:
        lock._let_go()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
