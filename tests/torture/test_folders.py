"""Readers of a folder that they may not write: closed cleanly or left by a crash, forbidden, read-only or full."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw
import pytest
from torture_world import ENVIRONMENT, LONG, child, run
from workload import compact, upsert

NOBODY, ROOT = 65534, 0
LEFT = """
import os, signal, sys
from pathlib import Path
import apsw
from workload import STEPS, upsert
folder = Path(sys.argv[1])
for step in STEPS[:3]:
    step.act(folder)
reader = apsw.Connection(str(folder / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
reader.execute("BEGIN")
reader.execute("SELECT count(*) FROM documents").fetchall()
# As long as somebody reads, the log cannot be moved into the store.
upsert({"z": "only in the log"}).act(folder)
os.kill(os.getpid(), signal.SIGKILL)
"""
SIGHT = "31 'only in the log' True []\n"


@pytest.fixture
def world() -> Iterator[Path]:
    """A folder that everybody may enter."""
    place = Path(tempfile.mkdtemp(prefix="twinbert-torture-"))
    place.chmod(0o755)
    yield place
    for path in [place, *place.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(place)


WAYS = {
    "crashed": (),
    "crashed, copied without its shared memory": ("-shm",),
    "closed": (),
    "closed while somebody read": (),
    "closed while somebody read, copied without its shared memory": ("-shm",),
}
"""What an index may be left like, and which files beside the store are then taken away."""


@pytest.fixture(scope="module")
def crashed(shared_place: Path) -> Path:
    """An index of 31 documents, the last of them in the log alone."""
    done = run([sys.executable, "-c", LEFT, str(shared_place / "x")])
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert (shared_place / "x" / "store.sqlite-wal").stat().st_size > 0
    return shared_place / "x"


def leave(crashed: Path, folder: Path, how: str) -> Path:
    """A copy of the index, left in one of the WAYS."""
    shutil.copytree(crashed, folder)
    log = folder / "store.sqlite-wal"
    if how.startswith("closed"):
        reader = apsw.Connection(str(folder / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
        reader.pragma("user_version")
        if "read" not in how:
            reader.close()
        upsert({}).act(folder)
        reader.close()
        assert log.exists() == ("read" in how)
        assert not log.exists() or log.stat().st_size == 0
    for suffix in WAYS[how]:
        (folder / f"store.sqlite{suffix}").unlink()
    return folder


def forbid(folder: Path) -> None:
    """Nobody but root may write anything any more."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


@pytest.mark.parametrize("how", WAYS)
def test_a_reader_without_permission(crashed: Path, world: Path, how: str) -> None:
    folder = leave(crashed, world / "x", how)
    before = inventory(folder)
    forbid(folder)
    done = run(child("reading", folder, NOBODY), input="\n\n", cwd="/")
    assert done.stdout.startswith(SIGHT + SIGHT + "IndexFolderError: "), done.stdout + done.stderr
    assert "cannot be written" in done.stdout
    assert inventory(folder) == before


@pytest.mark.parametrize("how", WAYS)
def test_a_reader_without_permission_follows_the_owner(crashed: Path, world: Path, how: str) -> None:
    folder = leave(crashed, world / "x", how)
    forbid(folder)
    reader = subprocess.Popen(
        child("reading", folder, NOBODY),
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
    )
    assert reader.stdin is not None
    assert reader.stdout is not None
    with reader:
        seen = [look(reader)]
        for path in [folder, *folder.rglob("*")]:
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
        for step in (upsert({"zz": "fresh"}), compact(), upsert({"zzz": "fresher"})):
            step.act(folder)
            seen.append(look(reader))
    assert seen == [SIGHT, "32 'fresh' True []\n", "32 'fresh' True []\n", "33 'fresher' True []\n"]


def look(reader: subprocess.Popen[str]) -> str:
    """What a reader sees now."""
    assert reader.stdin is not None
    assert reader.stdout is not None
    reader.stdin.write("\n")
    reader.stdin.flush()
    return reader.stdout.readline()


def inventory(folder: Path) -> dict[str, bytes]:
    """All files and what is in them; the shared memory, which only processes that live may trust, left out."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.mark.parametrize("how", WAYS if LONG else list(WAYS)[1:3])
def test_an_image_mounted_read_only(crashed: Path, world: Path, how: str) -> None:
    folder, mounted = leave(crashed, world / "x", how), world / "mounted"
    mounted.mkdir()
    with mount(["--bind", "-o", "ro", str(folder)], mounted):
        done = run(child("reading", mounted, ROOT), input="\n\n")
    assert done.stdout.startswith(SIGHT + SIGHT + "IndexFolderError: "), done.stdout + done.stderr


@pytest.mark.parametrize("how", WAYS if LONG else list(WAYS)[1:3])
def test_a_disk_without_a_byte_left(crashed: Path, world: Path, how: str) -> None:
    mounted = world / "mounted"
    mounted.mkdir()
    with mount(["-t", "tmpfs", "-o", "size=1m", "tmpfs"], mounted):
        folder = leave(crashed, mounted / "x", how)
        with suppress(OSError), (mounted / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(bytes(4096)):
                pass
        done = run(child("reading", folder, ROOT), input="\n\n")
    assert done.stdout.startswith(SIGHT + SIGHT + "IndexFolderError: "), done.stdout + done.stderr


@contextmanager
def mount(options: list[str], target: Path) -> Iterator[None]:
    """Something mounted for a while; skips the test where that is not allowed."""
    if os.getuid() != 0:
        pytest.skip("only root may mount a disk")
    done = subprocess.run(["mount", *options, str(target)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(target)], check=True)
