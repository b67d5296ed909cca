"""A disk that loses its power: what may be on it once it is back, worked out from the system calls that were made.

The model is what POSIX promises and no more, rather than what one file system happens to do:

* What a file held when it was last synced is there. Of each later write any whole or part may be there or not (parts
  are sectors of 512 bytes), and of each later truncation too, in any combination. A hole reads as zeros.
* A name (created, renamed, removed) is safe once its *folder* was synced; syncing the file does not help. Later
  changes of one folder arrive in their order, but the power may fail between any two; different folders know nothing
  of each other. A renamed file's name and contents are apart: the new name may lead to a file without its contents.
* A rename itself is atomic. A sync that returned has happened: disks that lie about that are beyond help.

The replay refuses what it cannot see: a write through a shared memory map, other than SQLite's ``-shm``, which is
not synced and not trusted after a crash (and is left out here).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tracing import Call, decoded

SECTOR = 512
_WRITES = {"write", "pwrite64", "sendfile", "copy_file_range"}
_HARMLESS = {"close", "mmap", "lseek"}


@dataclass
class File:
    """Changes in their order, those before ``synced`` safe: (offset, bytes), or (length, None) for a truncation."""

    changes: list[tuple[int, bytes | None]] = field(default_factory=list)
    synced: int = 0

    def held(self, keep: Callable[[int, bytes], Iterator[tuple[int, bytes]]] | None = None) -> bytes:
        """Its bytes: of all changes, or of the safe ones and what ``keep`` lets through of the others."""
        data = bytearray()
        for place, (offset, written) in enumerate(self.changes):
            safe = place < self.synced or keep is None
            parts = [(offset, written)] if safe or written is None or keep is None else list(keep(offset, written))
            if written is None and not safe and keep is not None and not list(keep(0, b"truncation")):
                continue
            for start, part in parts:
                _overwrite(data, start, part)
        return bytes(data)


@dataclass
class Folder:
    """Changes of names in their order, those before ``synced`` safe: each one or two (name, what it leads to)."""

    changes: list[tuple[tuple[str, File | Folder | None], ...]] = field(default_factory=list)
    synced: int = 0

    def names(self, kept: int | None = None) -> dict[str, File | Folder]:
        """What is in it after the first ``kept`` changes, or all."""
        found: dict[str, File | Folder] = {}
        for change in self.changes[:kept]:
            for name, target in change:
                found.pop(name, None)
                if target is not None:
                    found[name] = target
        return found


class Disk:
    """The files below ``root``, empty and safe at first, as system calls change them."""

    def __init__(self, root: Path) -> None:
        self.root = Folder()
        self._path = PurePosixPath(root)
        self._positions: dict[int, int] = {}

    def apply(self, call: Call) -> None:
        """Let a call that succeeded change the disk; those about other files change nothing."""
        if call.result < 0 or not call.touches(Path(self._path)):
            return
        handler = getattr(self, f"_{call.name}", None)
        if call.name in _WRITES:
            self._written(call)
        elif handler is not None:
            handler(call)
        else:
            assert call.name in _HARMLESS, f"the replay does not know {call.name}: teach it"

    def after_power_loss(self, rest: Loss) -> dict[str, bytes | None]:
        """Path to contents of every file that is there; None for a folder."""
        return dict(_tree(self.root, "", rest))

    def _openat(self, call: Call) -> None:
        self._positions[call.result] = 0
        path, flags = call.paths[-1], call.arguments[2]
        if path.endswith("-shm") or not {"O_CREAT", "O_TRUNC"} & set(flags.split("|")):
            return
        parent, name = self._parent(path)
        if name not in parent.names():
            parent.changes.append(((name, File()),))
        elif "O_TRUNC" in flags:
            self._file(path).changes.append((0, None))

    def _lseek(self, call: Call) -> None:
        self._positions[call.descriptor] = call.result

    def _mmap(self, call: Call) -> None:
        written = "PROT_WRITE" in call.arguments[2] and "MAP_SHARED" in call.arguments[3]
        assert not written or call.paths[0].endswith("-shm"), f"{call.paths[0]} is written through a map, unseen"

    def _written(self, call: Call) -> None:
        assert call.name in {"write", "pwrite64"}, f"the replay does not know {call.name}: teach it"
        if call.paths[0].endswith("-shm"):
            return
        data = decoded(call.arguments[1])[: call.result]
        place = int(call.arguments[3]) if call.name == "pwrite64" else self._positions[call.descriptor]
        if call.name == "write":
            self._positions[call.descriptor] += len(data)
        self._file(call.paths[0]).changes.append((place, data))

    def _ftruncate(self, call: Call) -> None:
        if not call.paths[0].endswith("-shm"):
            self._file(call.paths[0]).changes.append((int(call.arguments[1]), None))

    def _fsync(self, call: Call) -> None:
        found = self._find(call.paths[0])
        found.synced = len(found.changes)

    _fdatasync = _fsync

    def _mkdir(self, call: Call) -> None:
        parent, name = self._parent(call.paths[-1])
        parent.changes.append(((name, Folder()),))

    def _rename(self, call: Call) -> None:
        (parent, name), (other, new) = map(self._parent, call.paths)
        assert parent is other, "the replay does not know renames from folder to folder: teach it"
        parent.changes.append(((name, None), (new, parent.names()[name])))

    def _unlink(self, call: Call) -> None:
        parent, name = self._parent(call.paths[-1])
        if not name.endswith("-shm"):
            parent.changes.append(((name, None),))

    _rmdir = _unlink

    def _unlinkat(self, call: Call) -> None:
        parent, name = self._parent("/".join(call.paths))
        parent.changes.append(((name, None),))

    def _parent(self, path: str) -> tuple[Folder, str]:
        place = PurePosixPath(path)
        parent = self._find(str(place.parent))
        assert isinstance(parent, Folder)
        return parent, place.name

    def _file(self, path: str) -> File:
        found = self._find(path)
        assert isinstance(found, File)
        return found

    def _find(self, path: str) -> File | Folder:
        found: File | Folder = self.root
        for name in PurePosixPath(path).relative_to(self._path).parts:
            assert isinstance(found, Folder)
            found = found.names()[name]
        return found


class Loss:
    """What of the unsynced survives: shares of writes and of names, chosen by chance from ``seed``.

    A share of 0 is all lost, of 1 all kept; in between, writes are torn at sectors too.
    """

    def __init__(self, writes: float, names: float, seed: int = 0) -> None:
        self._writes, self._names = writes, names
        self._chance = random.Random(seed)
        self._text = f"{writes:g} of writes, {names:g} of names, seed {seed}"

    def __str__(self) -> str:
        return self._text

    def kept(self, folder: Folder) -> int:
        """How many of a folder's changes arrived."""
        open_changes = len(folder.changes) - folder.synced
        if self._names in {0, 1}:
            return folder.synced + open_changes * int(self._names)
        return folder.synced + self._chance.randint(0, open_changes)

    def parts(self, offset: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The parts of an unsynced write that arrived."""
        whole = self._chance.random()
        if whole < self._writes * self._writes:
            yield offset, data
        elif whole < self._writes:
            for start in range(0, len(data), SECTOR):
                if self._chance.random() < self._writes:
                    yield offset + start, data[start : start + SECTOR]


def write_out(tree: dict[str, bytes | None], folder: Path) -> None:
    """Lay the files down for real."""
    folder.mkdir(parents=True)
    for name, data in tree.items():
        if data is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(data)


def _tree(folder: Folder, above: str, rest: Loss) -> Iterator[tuple[str, bytes | None]]:
    for name, target in folder.names(rest.kept(folder)).items():
        if isinstance(target, Folder):
            yield above + name, None
            yield from _tree(target, f"{above}{name}/", rest)
        else:
            yield above + name, target.held(rest.parts)


def _overwrite(data: bytearray, offset: int, written: bytes | None) -> None:
    if written is None:
        del data[offset:]
        data.extend(bytes(offset - len(data)))
        return
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(written)] = written
