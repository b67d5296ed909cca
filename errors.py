"""Every error that twinbert raises on purpose.

TwinBertError
├── InvalidInputError       a value, a row or a file that cannot be taken; names file and line where there is one
│   └── DuplicateIdError    one id twice in one command
├── IndexFolderError        something about an index folder
│   ├── IndexNotFoundError  no index there
│   ├── IndexExistsError    an index is there already, and nobody said to replace it
│   ├── IndexUnfinishedError  a build was stopped before its commit; it can be resumed
│   ├── IndexDamagedError   a file is missing, cut or altered
│   └── IndexLockedError    another process is writing
├── ModelError              a model folder that cannot be loaded
│   └── SpaceMismatchError  a model that answers in another vector space than the index holds
└── MissingExtraError       an optional feature whose packages are not installed

A message is one line and says what to do about it.
"""

from __future__ import annotations

from pathlib import Path


class TwinBertError(Exception):
    """Base of all errors raised on purpose; catch this one."""


class InvalidInputError(TwinBertError):
    """A value, a row or a file that cannot be taken.

    path, line: where the fault stands, when it stands in a file; prefixed to the message as ``path:line: ``.
    """

    def __init__(self, message: str, *, path: Path | str | None = None, line: int | None = None) -> None:
        self.path, self.line = path, line
        place = [str(part) for part in (path, line) if part is not None]
        super().__init__(": ".join([":".join(place), message]) if place else message)


class DuplicateIdError(InvalidInputError):
    """One id twice in one command."""


class IndexFolderError(TwinBertError):
    """Something about an index folder."""


class IndexNotFoundError(IndexFolderError):
    """No index there."""


class IndexExistsError(IndexFolderError):
    """An index is there already, and nobody said to replace it."""


class IndexUnfinishedError(IndexFolderError):
    """A build was stopped before its commit; it can be resumed."""


class IndexDamagedError(IndexFolderError):
    """A file of the index is missing, cut or altered."""


class IndexLockedError(IndexFolderError):
    """Another process is writing to the index."""


class ModelError(TwinBertError):
    """A model folder that cannot be loaded."""


class SpaceMismatchError(ModelError):
    """A model that answers in another vector space than the index holds."""


class MissingExtraError(TwinBertError):
    """An optional feature whose packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        self.extra = extra
        super().__init__(f'packages for {feature} are not installed: pip install "twinbert[{extra}]"')
