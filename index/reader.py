"""A read-only view of the store that follows its commits; safe to share between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import apsw

from ..errors import IndexDamagedError, IndexUnfinishedError
from .layout import Layout
from .options import BuildOptions, IndexSchema
from .readonly import ReadConnection
from .records import Problem
from .snapshot import Snapshot, load_snapshot
from .store import Commit, last_commits, pending_build
from .verify import find_problems

_Row = tuple[Any, ...]
_GENERATIONS_KEPT = 2
"""Older generations that rows in a caller's hands may still come from."""


class Reader:
    """The store, the snapshot of the last commit, and the last ones of the generations before it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._store = ReadConnection(layout)
        self._seen: tuple[int, int] | None = None
        self._snapshot: Snapshot | None = None
        self._before: tuple[Snapshot, ...] = ()

    def latest(self) -> Snapshot | None:
        """The snapshot of the last commit, None before the first; the store's version tells if there is a newer."""
        with self._lock:
            self._store.read(self._refresh)
            return self._snapshot

    def current(self) -> Snapshot:
        """The snapshot of the last commit; raises IndexUnfinishedError before the first."""
        snapshot = self.latest()
        if snapshot is None:
            raise IndexUnfinishedError(f"{self._layout.folder} holds an unfinished build: resume it, or overwrite it")
        return snapshot

    def recent(self) -> Iterator[Snapshot]:
        """Snapshots that rows in a caller's hands may come from: the last used, those before it, the newest."""
        with self._lock:
            known = self._before if self._snapshot is None else (self._snapshot, *self._before)
        yield from known
        yield self.current()

    def description(self) -> tuple[IndexSchema, BuildOptions]:
        """Schema and options of the last commit or, before the first, of the build that was begun."""
        snapshot = self.latest()
        if snapshot is not None:
            return snapshot.commit.schema, snapshot.commit.options
        with self._lock:
            build = self._store.read(pending_build)
        if build is None:
            raise IndexUnfinishedError(f"{self._layout.folder} holds no index: create one there first")
        return build.schema, build.options

    def ask(self, query: str, *values: str | int) -> list[_Row]:
        """All rows of a query at the last commit."""
        with self._lock:
            return self._store.read(lambda connection: connection.execute(query, values).fetchall())

    def commits(self) -> list[Commit]:
        """All commits that are remembered, the last one first."""
        with self._lock:
            return self._store.read(last_commits)

    def problems(self) -> list[Problem]:
        """Every fault of the last commit's files and of the store; searches go on meanwhile."""
        self.current()
        with closing(ReadConnection(self._layout)) as store:
            while True:
                number, found = store.read(self._inspect)
                # A segment that was replaced meanwhile is gone, which is no fault.
                if store.read(_number) == number:
                    return found

    def _inspect(self, connection: apsw.Connection) -> tuple[int, list[Problem]]:
        connection.execute("BEGIN")
        try:
            snapshot = load_snapshot(connection, self._layout, self._snapshot)
            if snapshot is None:
                raise IndexUnfinishedError(f"{self._layout.folder} holds an unfinished build: resume it")
            return snapshot.commit.number, list(find_problems(connection, self._layout, snapshot))
        finally:
            connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the store."""
        with self._lock:
            self._store.close()

    def _refresh(self, connection: apsw.Connection) -> None:
        seen = self._store.version()
        if seen == self._seen:
            return
        old, newer = self._snapshot, self._load(connection)
        if old is not None and newer is not None and newer.commit.generation != old.commit.generation:
            self._before = (old, *self._before)[:_GENERATIONS_KEPT]
        self._snapshot, self._seen = newer, seen

    def _load(self, connection: apsw.Connection) -> Snapshot | None:
        while True:
            number = _number(connection)
            try:
                with connection:
                    snapshot = load_snapshot(connection, self._layout, self._snapshot)
            except IndexDamagedError:
                # A newer generation may have replaced the files between reading their name and mapping them.
                if _number(connection) == number:
                    raise
            else:
                return snapshot


def _number(connection: apsw.Connection) -> int:
    return int(connection.execute("SELECT coalesce(max(number), 0) FROM commits").get)
