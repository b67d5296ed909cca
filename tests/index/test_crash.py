"""kill -9 at chosen points of a write: what was acknowledged is there, what was not is not, and work goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from index_world import SCHEMA, answers, build, change, contents, encode_pending, expected, records
from twinbert.index import BuildOptions, Index

OLD = {"a": "apple", "b": "pear"}
NEW = {"a": "quince", "c": "plum"}

PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from index_world import change
from twinbert.index import Index
from twinbert.index import layout, publish, session, writer

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

folder, point, replace = sys.argv[2], sys.argv[3], sys.argv[4] == "replace"
WHERE = {
    "staged": (writer.Writer, "commit"),
    "before the segment": (publish, "publish_folder"),
    "before the sync": (layout, "sync"),
    "segment renamed": (publish, "keep_history"),
    "before the commit": (writer, "ChangeReport"),
    "committed": (session, "tidy"),
}
setattr(*WHERE[point], die)
delete = [] if replace else ["b"]
change(Index.open(folder), {"a": "quince", "c": "plum"}, delete=delete, replace=replace, compact=not replace)
print("acknowledged", flush=True)
die()
"""


def run_and_die(folder: Path, point: str, command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(folder), point, command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return done.stdout


@pytest.mark.parametrize("command", ["replace", "update"])
@pytest.mark.parametrize(
    ("point", "visible"),
    [
        ("staged", OLD),
        ("before the segment", OLD),
        ("before the sync", OLD),
        ("segment renamed", OLD),
        ("before the commit", OLD),
        ("committed", NEW),
    ],
)
def test_a_kill_leaves_all_or_nothing(tmp_path: Path, point: str, visible: dict[str, str], command: str) -> None:
    build(tmp_path / "x", OLD).close()
    with Index.open(tmp_path / "x") as reader:
        assert run_and_die(tmp_path / "x", point, command) == ""
        for index in (reader, Index.open(tmp_path / "x")):
            assert contents(index) == visible
            assert answers(index, "plum", 3) == expected(visible, "plum", 3)
            assert index.verify() == []
        change(reader, {"d": "fig"})
        assert contents(reader) == visible | {"d": "fig"}
        (segment,) = (tmp_path / "x" / "segments").iterdir()
        assert segment.name == str(reader.info().generation)
        assert reader.verify() == []


ACKNOWLEDGING = """
import sys
sys.path.insert(0, sys.argv[1])
from index_world import change
from twinbert.index import Index
index = Index.open(sys.argv[2])
for number in range(10_000):
    change(index, {f"d{number % 5}": f"text {number}"}, compact=index.is_worn)
    print(number, flush=True)
"""


@pytest.mark.parametrize("after", [1, 7, 24])
def test_acknowledged_commits_survive_a_kill_at_any_moment(tmp_path: Path, after: int) -> None:
    build(tmp_path / "x", {}, BuildOptions(tail_limit=3, tail_share=0.0)).close()
    process = subprocess.Popen(
        [sys.executable, "-c", ACKNOWLEDGING, str(Path(__file__).parent), str(tmp_path / "x")], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    os.kill(process.pid, signal.SIGKILL)
    lines += process.stdout.readlines()
    process.stdout.close()
    process.wait()
    last = max(int(line) for line in lines if line.endswith(b"\n"))
    states = [{f"d{number % 5}": f"text {number}" for number in range(end + 1)} for end in (last, last + 1)]
    with Index.open(tmp_path / "x") as index:
        assert contents(index) in states
        assert index.verify() == []
        change(index, {"d0": "after"})
        assert contents(index)["d0"] == "after"


def test_a_build_killed_while_encoding_resumes_where_it_stood(tmp_path: Path) -> None:
    program = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from index_world import SCHEMA, records, vectors
from twinbert.index import Index
with Index.create(sys.argv[2], SCHEMA).writer(replace=True) as writer:
    writer.put(records({f"d{number}": f"text {number}" for number in range(20)}))
    for place, batch in enumerate(writer.pending(4)):
        if place == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        writer.put_vectors([key for key, _ in batch], vectors([text for _, text in batch]))
"""
    done = subprocess.run([sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / "x")], check=False)
    assert done.returncode == -signal.SIGKILL
    documents = {f"d{number}": f"text {number}" for number in range(20)}
    index = Index.create(tmp_path / "x", SCHEMA, resume=True)
    with index.writer(replace=True) as writer:
        writer.put(records(documents))
        assert writer.pending_count() == 8
        assert encode_pending(writer) == 8
        assert writer.commit().added == 20
    assert contents(index) == documents
