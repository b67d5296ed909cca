"""The half of an index that changes it. Each command holds the lock and becomes visible in one transaction."""

from __future__ import annotations

from pathlib import Path

from ..errors import IndexNotFoundError
from .layout import Layout
from .options import IndexSchema
from .records import ChangeReport, GcReport
from .session import Session, settle
from .undo import collect, roll_back
from .writer import Writer


class Commands:
    """What changes an index folder; ``Index`` adds what reads it.

    ``wait`` is the seconds to wait for somebody else who writes; None gives up at once. Everything here raises
    IndexLockedError, which names who writes, where waiting does not help.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._wrote = False
        self._begun: IndexSchema | None = None

    def writer(
        self, *, replace: bool = False, sync: bool = False, repair: bool = False, wait: float | None = None
    ) -> Writer:
        """A context that stages one command and commits it; entering it takes the lock.

        replace: what is put becomes the whole index, under the schema and options that ``create`` was given.
        sync: what is put becomes the whole index, under the schema and options that it has; the segment stays.
        repair: with ``replace``: every vector is asked for again, but for what such a command has stored already. The
            index cannot be opened meanwhile where one of its fresh vectors is damaged.
        """
        self._wrote = True
        return Writer(self._layout, replace=replace, sync=sync, repair=repair, wait=wait, begun=self._begun)

    def compact(self, *, wait: float | None = None) -> int:
        """Write a new generation of what is live, and return its number.

        It extends a copy of the ANN index; where too many of its vectors are unused, its lists outgrown or its recall
        target lost, it builds a new one.

        Raises InvalidInputError when the ANN index fails its
        self-recall.
        """
        with self.writer(wait=wait) as writer:
            return writer.commit(compact=True).generation

    @staticmethod
    def rebuild(path: str | Path, *, wait: float | None = None) -> int:
        """Write a new generation whose derived files are made from nothing, and return its number.

        It needs the store and the exact vectors, and cures an index that damage to anything else keeps from being
        opened. Raises IndexNotFoundError, IndexDamagedError naming the file where it cannot; else as ``compact``.
        """
        layout = Layout(Path(path))
        if not layout.store.is_file():
            raise IndexNotFoundError(f"{layout.folder} is not an index: build one there first")
        with Writer(layout, rebuild=True, wait=wait) as writer:
            return writer.commit().generation

    def rollback(self, commits: int = 1, *, wait: float | None = None) -> ChangeReport:
        """Undo the last ``commits`` that changed documents, or how the index is built; compactions are not counted.

        The state before them becomes a new commit, which can be undone like any other. What is alike in both stays as
        it is.

        Raises InvalidInputError where history does not reach back so far.
        """
        self._wrote = True
        with Session(self._layout, wait) as session:
            return roll_back(session, commits)

    def gc(self, keep: int, *, wait: float | None = None) -> GcReport:
        """Forget what was before the last ``keep`` changes, so that only they can be undone, and give its space back.

        Rows that a search gave before this and that have died since may be gone: search again.

        Raises InvalidInputError for a negative ``keep``.
        """
        self._wrote = True
        with Session(self._layout, wait) as session:
            return collect(session, keep)

    def _settle(self) -> None:
        """Leave a folder that can be read without permission to write there, if anything was written here."""
        wrote, self._wrote = self._wrote, False
        if wrote:
            settle(self._layout)
