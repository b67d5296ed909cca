"""A read-only view of the store that follows its commits; safe to share between threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from ..errors import IndexDamagedError, IndexUnfinishedError
from .layout import Layout
from .options import BuildOptions, IndexSchema
from .records import Problem
from .snapshot import Snapshot, load_snapshot
from .store import faults_named, open_reader, pending_build
from .verify import find_problems

_Row = tuple[Any, ...]


class Reader:
    """The store's connection, the snapshot of the last commit, and the one before it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()
        self._connection = open_reader(layout)
        self._seen: int | None = None
        self._snapshot: Snapshot | None = None
        self._before: Snapshot | None = None

    def latest(self) -> Snapshot | None:
        """The snapshot of the last commit, None before the first; data_version tells if there is a newer."""
        with self._lock, faults_named(self._layout):
            seen = self._connection.pragma("data_version")
            if seen != self._seen:
                newer = self._load()
                if newer is not self._snapshot:
                    self._before = self._snapshot
                self._snapshot, self._seen = newer, seen
            return self._snapshot

    def current(self) -> Snapshot:
        """The snapshot of the last commit; raises IndexUnfinishedError before the first."""
        snapshot = self.latest()
        if snapshot is None:
            raise IndexUnfinishedError(f"{self._layout.folder} holds an unfinished build: resume it, or overwrite it")
        return snapshot

    def recent(self) -> Iterator[Snapshot]:
        """Snapshots that rows in a caller's hands may come from: the last used, the one before it, the newest."""
        yield self._snapshot or self.current()
        if self._before is not None:
            yield self._before
        yield self.current()

    def description(self) -> tuple[IndexSchema, BuildOptions]:
        """Schema and options of the last commit or, before the first, of the build that was begun."""
        snapshot = self.latest()
        if snapshot is not None:
            return snapshot.commit.schema, snapshot.commit.options
        with self._lock, faults_named(self._layout):
            build = pending_build(self._connection)
        if build is None:
            raise IndexUnfinishedError(f"{self._layout.folder} holds no index: create one there first")
        return build.schema, build.options

    def ask(self, query: str, *values: str | int) -> list[_Row]:
        """All rows of a query at the last commit."""
        with self._lock, faults_named(self._layout):
            return self._connection.execute(query, values).fetchall()

    def problems(self) -> list[Problem]:
        """Every fault of the last commit's files and of the store."""
        self.current()
        with self._lock, faults_named(self._layout):
            while True:
                snapshot, found = self._inspect()
                # A segment that was replaced meanwhile is gone, which is no fault.
                if self._number() == snapshot.commit.number:
                    return found

    def _inspect(self) -> tuple[Snapshot, list[Problem]]:
        self._connection.execute("BEGIN")
        try:
            snapshot = load_snapshot(self._connection, self._layout, self._snapshot)
            if snapshot is None:
                raise IndexUnfinishedError(f"{self._layout.folder} holds an unfinished build: resume it")
            return snapshot, list(find_problems(self._connection, self._layout, snapshot))
        finally:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()

    def _load(self) -> Snapshot | None:
        while True:
            number = self._number()
            try:
                with self._connection:
                    snapshot = load_snapshot(self._connection, self._layout, self._snapshot)
            except IndexDamagedError:
                # A newer generation may have replaced the files between reading their name and mapping them.
                if self._number() == number:
                    raise
            else:
                return snapshot

    def _number(self) -> int:
        return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM commits").get)
