"""Damage is found and named; a read-only folder and an older reader of a newer format say what they can."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from index_world import SCHEMA, answers, build, change, contents, edit, encode_pending, expected, records, vectors
from twinbert.errors import IndexDamagedError, IndexFolderError, IndexNotFoundError
from twinbert.index import BuildOptions, Index

TEXTS = {f"d{number}": f"text {number}" for number in range(60)}
FILES = ["vectors.npy", "numbers.npy", "rows.npy", "starts.npy", "by_row.npy", "ann.faiss", "members.npy", "nodes.npy"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with build(tmp_path / "x", TEXTS, BuildOptions(index_key="HNSW8")) as index:
        change(index, {"fresh": "a fresh text"})
    return tmp_path / "x"


@pytest.mark.parametrize("name", ["members.npy", "nodes.npy"])
def test_groups_of_equal_vectors_that_cannot_be_are_named_at_open(folder: Path, name: str) -> None:
    path = folder / "segments" / "1" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(IndexDamagedError, match=r"members\.npy or nodes\.npy is damaged: twinbert index rebuild"):
        Index.open(folder)


@pytest.mark.parametrize("name", ["starts.npy", "by_row.npy"])
def test_places_that_cannot_be_are_named_at_open(folder: Path, name: str) -> None:
    path = folder / "segments" / "1" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)
    with pytest.raises(IndexDamagedError, match=rf"{name} is damaged: restore it"):
        Index.open(folder)


@pytest.mark.parametrize("name", ["vectors.npy", "numbers.npy", "rows.npy", "ann.faiss"])
def test_a_flipped_byte_is_found_by_verify(folder: Path, name: str) -> None:
    path = folder / "segments" / "1" / name
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)
    with Index.open(folder) as index:
        assert f"segments/1/{name}" in {problem.file for problem in index.verify()}


@pytest.mark.parametrize("name", FILES)
def test_a_cut_or_missing_file_is_named_at_open(folder: Path, name: str) -> None:
    path = folder / "segments" / "1" / name
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(IndexDamagedError, match=f"{name} has .* bytes instead of"):
        Index.open(folder)
    path.unlink()
    with pytest.raises(IndexDamagedError, match=f"{name} is missing: restore it"):
        Index.open(folder)


def test_a_file_cut_after_opening_is_found_by_verify(folder: Path) -> None:
    with Index.open(folder) as index:
        (folder / "segments" / "1" / "ann.faiss").unlink()
        (problem,) = index.verify()
        assert problem.file == "segments/1/ann.faiss"
        assert "is missing" in problem.message


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE documents SET payload = 'text 8' WHERE id = 'd7'", "document 'd7', does not match its hash"),
        ("UPDATE documents SET id = 'D7' WHERE id = 'd7'", "document 'D7', does not match its hash"),
        ("UPDATE fresh SET data = zeroblob(32)", "fresh vector 61 does not match its hash"),
        ("DELETE FROM documents WHERE id = 'd9'", "60 documents are live, the commit says 61"),
    ],
)
def test_a_changed_store_is_found_by_verify(folder: Path, statement: str, message: str) -> None:
    edit(folder, statement)
    with Index.open(folder) as index:
        problem, *_ = index.verify()
        assert problem.file == "store.sqlite"
        assert message in problem.message


def test_lost_vectors_are_refused_not_guessed(folder: Path) -> None:
    edit(folder, "DELETE FROM fresh")
    with pytest.raises(IndexDamagedError, match="have lost their vectors"):
        Index.open(folder)


def test_a_store_of_noise_is_named(folder: Path) -> None:
    path = folder / "store.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 40_000)
    with pytest.raises(IndexDamagedError, match=r"store\.sqlite is damaged"):
        Index.open(folder).verify()
    path.write_bytes(b"this is no database, though it is long enough to be one" * 100)
    with pytest.raises(IndexDamagedError, match=r"store\.sqlite is damaged"):
        Index.open(folder)


def test_another_database_is_no_index(tmp_path: Path) -> None:
    edit(tmp_path, "CREATE TABLE mine (x)")
    with pytest.raises(IndexNotFoundError, match="is not an index: build one in another folder"):
        Index.open(tmp_path)


def test_a_newer_format_is_refused(folder: Path) -> None:
    edit(folder, "PRAGMA user_version = 4")
    with pytest.raises(IndexFolderError, match="has format 4, this twinbert reads up to 3: install a newer"):
        Index.open(folder)
    with pytest.raises(IndexFolderError, match="has format 4"):
        change(Index.open(folder), {"a": "b"})


def test_the_manifest_is_never_trusted(folder: Path) -> None:
    (folder / "manifest.json").write_text("{")
    with Index.open(folder) as index:
        assert len(index) == 61
        assert index.verify() == []
        index.compact()
    assert json.loads((folder / "manifest.json").read_text())["segment"]["generation"] == 2


@pytest.fixture
def open_to_all(folder: Path) -> Iterator[Path]:
    """A copy of the index that everybody may read and nobody may write, beside nothing else."""
    place = Path(tempfile.mkdtemp())
    shutil.copytree(folder, place / "x", ignore=shutil.ignore_patterns("*-wal", "*-shm"))
    place.chmod(0o755)
    for path in (place / "x").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (place / "x").chmod(0o555)
    yield place / "x"
    for path in [place / "x", *(place / "x").rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    shutil.rmtree(place)


def test_a_read_only_folder_opens_and_answers(open_to_all: Path) -> None:
    program = """
import mmap, os, sys
from twinbert.errors import IndexFolderError
from twinbert.index import Index
if os.getuid() == 0:
    os.setuid(65534)
with Index.open(sys.argv[1]) as index:
    print(len(index), index.search(index.vectors([1]), 1).rows[0, 0], index.verify())
    try:
        index.compact()
    except IndexFolderError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(open_to_all)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[0] == "61 1 []"
    assert "cannot be written" in done.stdout.splitlines()[1]


def test_damaged_vectors_are_never_sealed_into_the_next_generation(folder: Path) -> None:
    path = folder / "segments" / "1" / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)
    with Index.open(folder) as index:
        with pytest.raises(IndexDamagedError, match=r"vectors\.npy does not match its checksum"):
            index.compact()
        assert index.info().generation == 1


@pytest.mark.parametrize("cut", [0, 1])
def test_a_rebuild_over_a_damaged_segment_asks_for_its_vectors_again(folder: Path, cut: int) -> None:
    path = folder / "segments" / "1" / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data[: len(data) - cut])
    index = Index.create(folder, SCHEMA, overwrite=True)
    with index.writer(replace=True) as writer:
        writer.put(records(TEXTS))
        assert encode_pending(writer) == len(TEXTS)
        writer.commit()
    assert contents(index) == TEXTS
    assert answers(index, "text 3", 9) == expected(TEXTS, "text 3", 9)
    assert index.verify() == []


def test_a_rebuild_that_is_given_up_damages_nothing_further(folder: Path) -> None:
    path = folder / "segments" / "1" / "vectors.npy"
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x01
    path.write_bytes(data)
    index = Index.create(folder, SCHEMA, overwrite=True)
    before = index.verify()
    with index.writer(replace=True) as writer:
        writer.put(records(TEXTS))
        (first, *_) = writer.pending(20)
        writer.put_vectors([name for name, _ in first], vectors([text for _, text in first]))
    assert [problem.file for problem in index.verify()] == [problem.file for problem in before]
    assert contents(index) == TEXTS | {"fresh": "a fresh text"}
    with Index.create(folder, SCHEMA, resume=True).writer(replace=True) as writer:
        writer.put(records(TEXTS))
        assert encode_pending(writer) == len(TEXTS) - 20
        assert writer.commit().unchanged == len(TEXTS)
    assert (contents(index), index.verify()) == (TEXTS, [])


READER = """
import mmap, os, sys
from twinbert.index import Index
if os.getuid() == 0:
    os.setuid(65534)
index = Index.open(sys.argv[1])
print(len(index), flush=True)
for line in sys.stdin:
    print(len(index), index.info().commit, index.get([line.strip()])[0] is not None, index.verify(), flush=True)
"""


def test_a_reader_of_a_read_only_folder_follows_its_owner(open_to_all: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(open_to_all)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd="/",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "61\n"
    for path in [open_to_all, *open_to_all.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    with Index.open(open_to_all) as owner:
        for number in range(1, 4):
            change(owner, {f"new {number}": f"owner's {number}"}, compact=number == 2)
            process.stdin.write(f"new {number}\n")
            process.stdin.flush()
            assert process.stdout.readline() == f"{61 + number} {2 + number} True []\n"
    process.communicate()
    assert process.returncode == 0


def test_creating_over_another_database_leaves_it_alone(tmp_path: Path) -> None:
    edit(tmp_path, "CREATE TABLE mine (x)")
    before = (tmp_path / "store.sqlite").read_bytes()
    with pytest.raises(IndexNotFoundError, match="is not an index: build one in another folder"):
        Index.create(tmp_path, SCHEMA, overwrite=True)
    assert (tmp_path / "store.sqlite").read_bytes() == before
