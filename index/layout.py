"""The folder of an index: names of its files, and the few durable operations on them.

::

    LOCK            held by the one writer
    store.sqlite    the truth: documents, fresh vectors, the current generation
    segments/G/     immutable files of generation G
    staged.npy      vectors of a build that goes on; see ``spool``
    staged.evidence their evidence, where the index keeps any; see ``evidence_spool``
    manifest.json   a readable description, never what readers trust
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import IndexFolderError

_HASH_BLOCK = 1 << 20
_GENERATION = re.compile(r"[0-9]+(\.tmp)?")
"""Names that a writer gives below ``segments/``; whatever else lies there is somebody else's."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the files of one index are."""

    folder: Path

    @property
    def lock(self) -> Path:
        """Held by the one writer."""
        return self.folder / "LOCK"

    @property
    def store(self) -> Path:
        """The SQLite database."""
        return self.folder / "store.sqlite"

    @property
    def log(self) -> Path:
        """SQLite's write-ahead log."""
        return self.folder / "store.sqlite-wal"

    @property
    def spool(self) -> Path:
        """Vectors that a build has staged."""
        return self.folder / "staged.npy"

    @property
    def evidence_spool(self) -> Path:
        """Their evidence."""
        return self.folder / "staged.evidence"

    @property
    def journal(self) -> Path:
        """SQLite's rollback journal: there only while the store is made, or where that was stopped."""
        return self.folder / "store.sqlite-journal"

    @property
    def segments(self) -> Path:
        """The folder of generations."""
        return self.folder / "segments"

    @property
    def manifest(self) -> Path:
        """The description for people."""
        return self.folder / "manifest.json"

    def segment(self, generation: int) -> Path:
        """The folder of one generation."""
        return self.segments / str(generation)

    def check_links(self) -> None:
        """Raise IndexFolderError where the folder has a link in place of a file: it may lead anywhere."""
        shared = self.folder / "store.sqlite-shm"
        store = (self.store, self.log, shared, self.journal)
        for path in (self.lock, *store, self.spool, self.evidence_spool, self.segments, self.manifest):
            if path.is_symlink():
                raise IndexFolderError(f"{path} is a symbolic link, which may lead anywhere: put what it means there")

    def log_size(self) -> int:
        """Bytes of the write-ahead log, 0 without one."""
        return _size(self.log)

    def size(self) -> int:
        """Bytes of all files of the index; files that vanish meanwhile count as nothing."""
        return sum(_size(path) for path in self.folder.rglob("*"))


def make_folder(path: Path) -> None:
    """Make a folder and those above it, each durably; one that is there is left as it is."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def publish_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Make ``target`` appear whole or not at all.

    ``fill`` writes files into a temporary sibling; they and the folder are synced, the folder is renamed, and
    the parent is synced.
    """
    make_folder(target.parent)
    temporary = target.with_name(f"{target.name}.tmp")
    remove_folder(temporary)
    temporary.mkdir()
    fill(temporary)
    for path in temporary.iterdir():
        sync(path)
    sync(temporary)
    temporary.rename(target)
    sync(target.parent)


def publish_text(target: Path, text: str) -> None:
    """Replace a small file whole or not at all."""
    temporary = target.with_name(f"{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    with temporary.open("x", encoding="utf-8") as file:  # never through a link that a stranger left there
        file.write(text)
    sync(temporary)
    temporary.replace(target)
    sync(target.parent)


def keep_only_segment(layout: Layout, generation: int) -> None:
    """Remove all other generations, and what stopped writers left; readers keep what they have mapped."""
    if not layout.segments.is_dir():
        return
    for path in layout.segments.iterdir():
        if _GENERATION.fullmatch(path.name) and path.name != str(generation):
            remove_folder(path)


def remove_folder(path: Path) -> None:
    """Remove a folder that may not be there, or what has taken its place; of a link only the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """BLAKE2b-256 of a file's bytes, in hex."""
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Push a file or a folder to the disk itself (macOS needs F_FULLFSYNC for that, where the volume knows it)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not _full_sync(descriptor):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _full_sync(descriptor: int) -> bool:
    command = getattr(fcntl, "F_FULLFSYNC", None)
    if command is None:
        return False
    try:
        fcntl.fcntl(descriptor, command)
    except OSError:
        return False
    return True


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0
