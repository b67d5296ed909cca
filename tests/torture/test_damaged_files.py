"""A flipped bit or a cut anywhere in the files of an index is found by open or verify, or was of no consequence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import apsw
import pytest
from evidence_world import EVIDENCE, change, encode_pending
from index_world import records
from torture_world import LONG, Tally, child, run
from twinbert.index import BuildOptions, Index, IndexSchema
from workload import STEPS

SEGMENT = [
    "vectors.npy",
    "numbers.npy",
    "rows.npy",
    "starts.npy",
    "by_row.npy",
    "ann.faiss",
    "members.npy",
    "nodes.npy",
    *("terms.npy", "counts.npy", "term_starts.npy", "lengths.npy", "vocabulary.npy", "frequencies.npy"),
    *("parts.npy", "part_starts.npy"),
]


@pytest.fixture(scope="module")
def folder(shared_place: Path) -> Path:
    """An index with everything an index can have: dead and fresh documents, several commits, a build begun."""
    folder = shared_place / "x"
    for step in STEPS[:8]:
        step.act(folder)
    with Index.open(folder) as index:
        change(index, {"d05": "again", "zz": "fresh. part"})
    schema = IndexSchema("other", 5, "m", EVIDENCE)
    begun = Index.create(folder, schema, BuildOptions(flat_below=7), overwrite=True)
    with begun, begun.writer(replace=True) as writer:
        writer.put(records({"z": "lemon. part"}, space="other"))
        encode_pending(writer, dimension=5)
    with apsw.Connection(str(folder / "store.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    for log in folder.glob("store.sqlite-*"):
        log.unlink(missing_ok=True)
    return folder


def damage(folder: Path, name: str, how: str, step: int, tally: Tally, bug: str = "none") -> None:
    """Let a child try it, and count."""
    damaged = folder.with_name("damaged")
    shutil.rmtree(damaged, ignore_errors=True)
    shutil.copytree(folder, damaged)
    done = run(child("flipping", damaged, name, how, 1 if LONG else step, bug))
    assert done.returncode == 0, done.stderr[-2_000:]
    result = json.loads(done.stdout.splitlines()[-1])
    tally.tried = result["found"] + result["unused"] + len(result["missed"])
    tally.bad = result["missed"]
    tally.note = f"{result['found']} found, {result['unused']} change nothing that is read"


@pytest.mark.parametrize("name", SEGMENT)
def test_flipped_in_the_segment(folder: Path, name: str, tally: Tally) -> None:
    (segment,) = (folder / "segments").iterdir()
    damage(folder, str((segment / name).relative_to(folder)), "flip", 61, tally)
    assert (tally.bad, tally.note.split()[2]) == ([], "0")


def test_flipped_in_the_store(folder: Path, tally: Tally) -> None:
    damage(folder, "store.sqlite", "flip", 131, tally)
    assert tally.bad == []


@pytest.mark.parametrize("name", ["staged.npy", "staged.evidence"])
def test_flipped_in_what_a_build_has_staged(folder: Path, name: str, tally: Tally) -> None:
    damage(folder, name, "flip", 3, tally)
    assert tally.bad == []


@pytest.mark.parametrize("name", ["vectors.npy", "ann.faiss", "staged.npy", "store.sqlite"])
def test_cut(folder: Path, name: str, tally: Tally) -> None:
    (path,) = folder.rglob(name)
    damage(folder, str(path.relative_to(folder)), "cut", 311, tally)
    assert (tally.bad, tally.note.split()[2]) == ([], "0")


def test_planted_verify_compares_no_checksum(folder: Path, tally: Tally) -> None:
    (path,) = folder.rglob("vectors.npy")
    damage(folder, str(path.relative_to(folder)), "flip", 29, tally, "verify compares no checksum")
    assert tally.bad != []
