"""An index folder from a stranger, every hash in it right: it is refused or it is used, and nothing else happens.

No traceback, no crash, no hang, no memory beyond a bound, and nothing outside of the folder is touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torture_world import ENVIRONMENT, LONG, child
from twinbert.errors import IndexFolderError
from twinbert.index import Index
from twinbert.index.seals import sealed
from visiting import REFUSED, WELL
from workload import STEPS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a visit may take is read from Linux's /proc")
EXAMPLES = 400 if LONG else 12
FUZZED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=not LONG,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
Visit = Callable[[Path], str | None]


@pytest.fixture(scope="module")
def visitor() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        child("visiting"), env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def visit(visitor: subprocess.Popen[str]) -> Visit:
    """Let the visitor use a folder, and say what is wrong with what it did."""

    def call(folder: Path) -> str | None:
        assert visitor.stdin is not None
        assert visitor.stdout is not None
        visitor.stdin.write(f"{folder}\n")
        visitor.stdin.flush()
        result = json.loads(visitor.stdout.readline())
        return None if result["code"] in {WELL, REFUSED} else f"exit code {result['code']}: {result['printed']}"

    return call


@pytest.fixture(scope="module")
def sound(shared_place: Path) -> Path:
    """A folder as a stranger begins with."""
    for step in STEPS[:8]:
        step.act(shared_place / "sound")
    return shared_place / "sound"


class Stranger:
    """Somebody who knows the format, and makes every hash right again."""

    def __init__(self, sound: Path) -> None:
        self.folder = sound.with_name("strange")
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(sound, self.folder, symlinks=True)
        self._store = apsw.Connection(str(self.folder / "store.sqlite"))

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._store.close()

    def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Any SQL."""
        return self._store.execute(statement, values).fetchall()  # type: ignore[arg-type]

    @property
    def description(self) -> dict[str, object]:
        """What the store says of its segment."""
        return json.loads(str(self.run("SELECT description FROM segments")[0][0]))

    def describe(self, description: object) -> None:
        """Say something else of it."""
        (generation,) = self.run("SELECT generation FROM segments")[0]
        text = description if isinstance(description, str) else json.dumps(description)
        self.run("UPDATE segments SET description = ?, hash = ?", text, sealed(generation, text)[-1])

    def commit(self, **changed: object) -> None:
        """Change columns of the last commit."""
        names = ("number", "made", "generation", "documents", "schema", "options", "command")
        row = dict(zip(names, self.run(f"SELECT {', '.join(names)} FROM commits ORDER BY number DESC")[0], strict=True))
        row |= changed
        self.run("DELETE FROM commits WHERE number = (SELECT max(number) FROM commits)")
        self.run("INSERT OR REPLACE INTO commits VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *sealed(*row.values()))

    def write(self, name: str, data: bytes) -> None:
        """Put a file of the segment in place, sealed."""
        (path,) = (self.folder / "segments").glob(f"*/{name}")
        path.write_bytes(data)
        description = self.description
        seal = {"bytes": len(data), "blake2b": hashlib.blake2b(data, digest_size=32).hexdigest()}
        description["files"][name] = seal
        self.describe(description)

    def read(self, name: str) -> bytes:
        """A file of the segment."""
        (path,) = (self.folder / "segments").glob(f"*/{name}")
        return path.read_bytes()


NUMBERS = st.one_of(st.integers(-3, 100), st.sampled_from([2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63)]))
VALUES = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.floats(), st.text(max_size=20), st.sampled_from(["Flat", "HNSW8"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["../x", "/etc/passwd", "a/b", "..", ".", "", "x\0y", "n" * 300, "../../../../etc/passwd"])
DESCRIBED = [
    *("generation", "commit", "before", "last_row", "documents", "vectors", "nodes", "space", "dimension", "dtype"),
    *("index_key", "reason", "trained", "tuning", "evidence", "terms"),
]


@FUZZED
@given(name=st.sampled_from(DESCRIBED), value=NUMBERS | VALUES)
def test_what_is_said_of_the_segment(sound: Path, visit: Visit, name: str, value: object) -> None:
    with Stranger(sound) as stranger:
        stranger.describe(stranger.description | {name: value})
    assert visit(stranger.folder) is None


@FUZZED
@given(name=NAMES, keep=st.booleans(), gone=st.sampled_from(["vectors.npy", "members.npy", "ann.faiss", "none"]))
def test_files_that_are_named(sound: Path, visit: Visit, name: str, keep: bool, gone: str) -> None:
    with Stranger(sound) as stranger:
        description = stranger.description
        files = description["files"] if keep else {}
        seal = files.pop(gone, {"bytes": 0, "blake2b": ""})
        stranger.describe(description | {"files": files | {name: seal}})
    assert visit(stranger.folder) is None


@FUZZED
@given(text=st.text(max_size=50) | st.just("[" * 100_000) | st.just('{"files":' * 1_000))
def test_a_description_that_is_none(sound: Path, visit: Visit, text: str) -> None:
    with Stranger(sound) as stranger:
        stranger.describe(text)
    assert visit(stranger.folder) is None


@FUZZED
@given(place=st.sampled_from(["schema", "options", "command"]), data=st.data())
def test_what_a_commit_says(sound: Path, visit: Visit, place: str, data: st.DataObject) -> None:
    with Stranger(sound) as stranger:
        said = json.loads(str(stranger.run(f"SELECT {place} FROM commits ORDER BY number DESC")[0][0]))
        said[data.draw(st.sampled_from(sorted(said)))] = data.draw(NUMBERS | VALUES)
        stranger.commit(**{place: json.dumps(said)})
    assert visit(stranger.folder) is None


@FUZZED
@given(place=st.sampled_from(["number", "generation", "documents"]), value=NUMBERS)
def test_the_numbers_of_a_commit(sound: Path, visit: Visit, place: str, value: int) -> None:
    with Stranger(sound) as stranger:
        stranger.commit(**{place: value})
    assert visit(stranger.folder) is None


ROWS = {
    "documents": ["row", "born", "died", "vector", "id", "payload", "hash"],
    "fresh": ["vector", "data", "hash"],
    "vectors": ["vector", "key"],
    "evidence": ["vector", "mark", "terms", "parts", "hash"],
    "words_data": ["id", "block"],
    "words_idx": ["pgno", "term"],
    "words_docsize": ["id", "sz", "origin"],
    "words_config": ["k", "v"],
    "sqlite_sequence": ["seq", "name"],
}


@FUZZED
@given(table=st.sampled_from(sorted(ROWS)), data=st.data())
def test_rows_of_the_store(sound: Path, visit: Visit, table: str, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(ROWS[table]))
    value = data.draw(st.one_of(NUMBERS, st.text(max_size=9), st.binary(max_size=40), st.none()))
    number = {"words_idx": "pgno", "words_config": "length(k)"}.get(table, "rowid")
    with Stranger(sound) as stranger:
        try:
            stranger.run(f"UPDATE {table} SET {column} = ? WHERE {number} % 3 = ?", value, data.draw(st.integers(0, 2)))
        except apsw.Error:  # what SQLite's own rules refuse, no stranger can write
            return
    assert visit(stranger.folder) is None


@FUZZED
@given(
    place=NUMBERS,
    rows=NUMBERS,
    kind=st.sampled_from(["<f4", "<f2", "|O", "<f8", ">f4", "|V0", "<U9", "M8[s]"]) | st.text(max_size=5),
    dimension=NUMBERS,
    keys=st.binary(max_size=40) | st.just(b"k" * 64),
)
def test_vectors_that_a_build_has_staged(
    sound: Path, visit: Visit, place: int, rows: int, kind: str, dimension: int, keys: bytes
) -> None:
    digest = hashlib.blake2b(keys, digest_size=16).digest()
    with Stranger(sound) as stranger:
        stranger.run("INSERT INTO spool VALUES (?, ?, ?, ?, ?, ?)", place, rows, kind, dimension, keys, digest)
    (stranger.folder / "staged.npy").write_bytes(bytes(5_000))
    assert visit(stranger.folder) is None


@FUZZED
@given(numbers=st.lists(NUMBERS, min_size=6, max_size=6), mark=st.binary(max_size=16))
def test_evidence_that_a_build_has_staged(sound: Path, visit: Visit, numbers: list[int], mark: bytes) -> None:
    data = bytes(5_000)
    with Stranger(sound) as stranger:
        digest = hashlib.blake2b(data[: max(0, min(numbers[1], 5_000))], digest_size=16).digest()
        stranger.run("INSERT INTO evidence_spool VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *numbers, mark, digest)
    (stranger.folder / "staged.evidence").write_bytes(data)
    assert visit(stranger.folder) is None


@FUZZED
@given(
    name=st.sampled_from(
        [
            *("vectors.npy", "numbers.npy", "rows.npy", "starts.npy", "by_row.npy", "members.npy", "nodes.npy"),
            *("terms.npy", "counts.npy", "term_starts.npy", "lengths.npy", "vocabulary.npy", "frequencies.npy"),
            *("parts.npy", "part_starts.npy"),
        ]
    ),
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30),
)
def test_arrays(sound: Path, visit: Visit, name: str, flips: list[tuple[float, int]]) -> None:
    with Stranger(sound) as stranger:
        data = bytearray(stranger.read(name))
        for where, value in flips:
            data[int(where * len(data))] = value
        stranger.write(name, bytes(data))
    assert visit(stranger.folder) is None


@FUZZED
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30),
    cut=st.floats(0.1, 1),
)
def test_faiss_s_own_file(sound: Path, visit: Visit, flips: list[tuple[float, int]], cut: float) -> None:
    with Stranger(sound) as stranger:
        data = bytearray(stranger.read("ann.faiss"))
        for where, value in flips:
            data[int(where**3 * len(data))] = value  # more of them near the beginning, where the sizes are
        stranger.write("ann.faiss", bytes(data[: int(len(data) * cut) + 1]))
    assert visit(stranger.folder) is None


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER mine AFTER UPDATE ON documents BEGIN DELETE FROM documents; END",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE VIRTUAL TABLE mine USING fts5(x)",
        "DROP TABLE words",
        "DROP TABLE evidence",
        "ALTER TABLE commits RENAME TO mine",
        "ALTER TABLE documents RENAME COLUMN payload TO mine",
        "DROP TABLE fresh",
        "CREATE TABLE mine (x)",
        "CREATE INDEX mine ON documents (payload)",
        "ALTER TABLE documents ADD COLUMN mine BLOB AS (zeroblob(1000000000))",
        "PRAGMA user_version = 99",
        "PRAGMA application_id = 1",
    ],
)
def test_a_store_that_is_more_or_less_than_data(sound: Path, visit: Visit, statement: str) -> None:
    with Stranger(sound) as stranger:
        stranger.run(statement)
    assert visit(stranger.folder) is None
    with pytest.raises(IndexFolderError):
        Index.open(stranger.folder)


LINKS = [
    *("LOCK", "store.sqlite", "store.sqlite-wal", "store.sqlite-shm", "store.sqlite-journal"),
    *(
        "staged.npy",
        "staged.evidence",
        "manifest.json",
        "manifest.json.tmp",
        "segments",
        "segments/3",
        "segments/9",
        "segments/4.tmp",
        "segments/mine",
    ),
    *("segments/3/vectors.npy", "segments/3/ann.faiss", "segments/3/queries.npy"),
]


@pytest.mark.parametrize("name", LINKS)
def test_a_link_leads_nowhere(sound: Path, visit: Visit, place: Path, name: str) -> None:
    with Stranger(sound) as stranger:
        link = stranger.folder / name
    outside = place / "outside"
    if link.exists():
        link.rename(outside)
    elif "/" in name:
        (outside / "7").mkdir(parents=True)
        (outside / "7" / "diary").write_text("mine")
    else:
        outside.write_text("mine")
    link.symlink_to(outside)
    before = {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()}
    assert visit(stranger.folder) is None
    assert {path: path.read_bytes() for path in [outside, *outside.rglob("*")] if path.is_file()} == before


@pytest.mark.parametrize(
    "name", ["LOCK", "store.sqlite", "manifest.json", "manifest.json.tmp", "segments", "segments/4"]
)
@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_should_be_a_file_is_none(sound: Path, visit: Visit, name: str, kind: str) -> None:
    with Stranger(sound) as stranger:
        path = stranger.folder / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    assert visit(stranger.folder) is None
