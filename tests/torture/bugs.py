"""Bugs to plant in a child, each of which one torture test must catch. What is patched is named where it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
from twinbert.errors import IndexFolderError
from twinbert.index import layout, maintenance, publish, reader, snapshot, store, verify, writer
from twinbert.index.segment import Segment, SegmentDescription, SegmentRequest


def plant(name: str) -> None:
    """Break this process's index code in the way that ``name`` says."""
    BUGS[name]()


def replace(original: object, other: object) -> None:
    """Put ``other`` where any module of the index has ``original``."""
    for name, module in list(sys.modules.items()):
        if name.startswith("twinbert.index"):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, other)


def _nothing() -> None:
    """No bug, or one of the workload's own: it acknowledges too early."""


def _written_in_place() -> None:
    """No log: SQLite overwrites the pages that readers trust one after the other."""
    _on_open("PRAGMA journal_mode = delete", "PRAGMA journal_mode = off")


def _store_unsynced() -> None:
    _on_open("PRAGMA synchronous = off")


def _on_open(*statements: str) -> None:
    original = store.open_writer

    def open_writer(place: layout.Layout) -> apsw.Connection:
        connection = original(place)
        for statement in statements:
            connection.execute(statement).fetchall()
        return connection

    replace(original, open_writer)


def _renamed_after_the_commit() -> None:
    """The segment has its name only when the commit that needs it is long done."""
    waiting: list[Path] = []
    publish_segment, tidy_up = publish.publish, maintenance.tidy

    def publish_early(connection: apsw.Connection, place: layout.Layout, request: SegmentRequest) -> SegmentDescription:
        described = publish_segment(connection, place, request)
        waiting.append(place.segment(described.generation))
        waiting[-1].rename(waiting[-1].with_suffix(".tmp"))
        return described

    def tidy(*arguments: object) -> None:
        while waiting:
            target = waiting.pop()
            target.with_suffix(".tmp").rename(target)
            layout.sync(target.parent)
        tidy_up(*arguments)  # type: ignore[arg-type]

    replace(publish_segment, publish_early)
    replace(tidy_up, tidy)


def _errors_swallowed() -> None:
    original = writer.Writer.commit

    def commit(self: writer.Writer, *, compact: bool = False) -> object:
        try:
            return original(self, compact=compact)
        except IndexFolderError:
            return None

    writer.Writer.commit = commit  # type: ignore[assignment]


def _files_unsynced() -> None:
    _sync_only(Path.is_dir)


def _folders_unsynced() -> None:
    _sync_only(Path.is_file)


def _sync_only(wanted: Callable[[Path], bool]) -> None:
    original = layout.sync

    def sync(path: Path) -> None:
        if wanted(path):
            original(path)

    replace(original, sync)


def _snapshot_of_two_commits() -> None:
    """A snapshot is loaded outside of any transaction, slowly."""
    load, dead_slots = snapshot.load_snapshot, snapshot._dead_slots

    def load_snapshot(
        _: apsw.Connection, place: layout.Layout, previous: snapshot.Snapshot | None
    ) -> snapshot.Snapshot | None:
        with closing(apsw.Connection(str(place.store), flags=apsw.SQLITE_OPEN_READONLY)) as loose:
            return load(loose, place, previous)

    def slow(connection: apsw.Connection, segment: Segment) -> object:
        time.sleep(0.05)
        return dead_slots(connection, segment)

    reader.load_snapshot, snapshot._dead_slots = load_snapshot, slow  # type: ignore[assignment]


def _no_checksums() -> None:
    replace(verify._file_problems, lambda *_: ())


BUGS = {
    "none": _nothing,
    "acknowledges before the commit": _nothing,
    "the store is written in place": _written_in_place,
    "the segment is renamed after the commit": _renamed_after_the_commit,
    "a failed commit is acknowledged": _errors_swallowed,
    "a snapshot of two commits": _snapshot_of_two_commits,
    "verify compares no checksum": _no_checksums,
    "the store is not synced": _store_unsynced,
    "segment files are not synced": _files_unsynced,
    "folders are not synced": _folders_unsynced,
}
