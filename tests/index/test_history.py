"""Any sequence of commands, rollbacks and forgetting leaves an index as a list of states has it; filters, too."""

import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from index_world import SCHEMA, answers, build, change, contents, encode_pending, expected, named, records, vectors
from twinbert.errors import IndexLockedError, InvalidInputError
from twinbert.index import BuildOptions, Condition, GcReport, Index, IndexSchema

NAMES = st.sampled_from([f"d{number}" for number in range(8)])
TEXTS = st.sampled_from([f"text {number}" for number in range(5)])
DOCUMENTS = st.dictionaries(NAMES, TEXTS, max_size=5)
OPTIONS = [
    BuildOptions(),
    BuildOptions(history=2),
    BuildOptions(history=0),
    BuildOptions(index_key="HNSW8", history=3),
    BuildOptions(index_key="IVF2,SQ8", target_k=3, tail_limit=2),
]
SCHEMAS = [SCHEMA, IndexSchema(space="other", dimension=5, model="another")]


@dataclass(frozen=True)
class State:
    """What an index is at one commit."""

    documents: dict[str, str]
    schema: IndexSchema
    options: BuildOptions


class HistoryMachine(RuleBasedStateMachine):
    """An index, another one that reads it, and the states that it must be able to go back to, the present one last."""

    @initialize(documents=DOCUMENTS, options=st.sampled_from(OPTIONS))
    def start(self, documents: dict[str, str], options: BuildOptions) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.index = build(self.folder / "x", documents, options)
        self.other = Index.open(self.folder / "x")
        self.past = [State(documents, SCHEMA, options)]

    @property
    def now(self) -> State:
        return self.past[-1]

    def change(self, put: dict[str, str], delete: set[str], *, sync: bool) -> None:
        schema, old = self.now.schema, self.now.documents
        with self.index.writer(sync=sync) as writer:
            writer.put(records(put, schema.space))
            writer.delete(delete)
            encode_pending(writer, schema.dimension)
            report = writer.commit()
        kept = {} if sync else {name: text for name, text in old.items() if name not in delete}
        new = kept | put
        assert report.documents == len(new)
        if new != old:
            self.past.append(State(new, schema, self.now.options))

    @rule(put=DOCUMENTS, delete=st.sets(NAMES, max_size=3))
    def update(self, put: dict[str, str], delete: set[str]) -> None:
        self.change(put, delete - put.keys(), sync=False)

    @rule(documents=DOCUMENTS)
    def sync(self, documents: dict[str, str]) -> None:
        self.change(documents, set(), sync=True)

    @rule(documents=DOCUMENTS, options=st.sampled_from(OPTIONS), schema=st.sampled_from(SCHEMAS))
    def build_anew(self, documents: dict[str, str], options: BuildOptions, schema: IndexSchema) -> None:
        new = Index.create(self.folder / "x", schema, options, overwrite=True)
        with new, new.writer(replace=True) as writer:
            writer.put(records(documents, schema.space))
            encode_pending(writer, schema.dimension)
            writer.commit()
        self.past.append(State(documents, schema, options))
        self.keep(options.history)

    @rule(documents=DOCUMENTS, schema=st.sampled_from(SCHEMAS))
    def begin_a_build(self, documents: dict[str, str], schema: IndexSchema) -> None:
        with Index.create(self.folder / "x", schema, overwrite=True) as new, new.writer(replace=True) as writer:
            writer.put(records(documents, schema.space))
            encode_pending(writer, schema.dimension)

    @rule(times=st.integers(1, 3))
    def compact(self, times: int) -> None:
        for _ in range(times):
            self.index.compact()
        self.keep(self.now.options.history)

    @rule(commits=st.integers(1, 6))
    def roll_back(self, commits: int) -> None:
        generation, before = self.index.info().generation, self.now
        if commits >= len(self.past):
            reach = f"undo at most {len(self.past) - 1}" if self.past[1:] else "none can be undone"
            with pytest.raises(InvalidInputError, match=f"^history does not reach back {commits} commits: {reach}$"):
                self.index.rollback(commits)
            return
        report = self.index.rollback(commits)
        self.past.append(self.past[-1 - commits])
        old, new = before.documents, self.now.documents
        assert report.documents == len(new)
        assert (report.added, report.removed) == (len(new.keys() - old.keys()), len(old.keys() - new.keys()))
        if before.schema == self.now.schema:
            assert report.unchanged == len(new.items() & old.items())
        assert report.added + report.changed + report.unchanged == len(new)
        rebuilt = (before.schema, before.options) != (self.now.schema, self.now.options)
        assert report.generation == generation + rebuilt
        if rebuilt:
            self.keep(self.now.options.history)

    @rule(keep=st.integers(0, 4))
    def collect(self, keep: int) -> None:
        self.index.gc(keep)
        self.keep(keep)

    @rule(query=TEXTS, wanted=st.sets(TEXTS, max_size=3), k=st.integers(1, 9))
    def search_some(self, query: str, wanted: set[str], k: int) -> None:
        dimension = self.now.schema.dimension
        matching = {name: text for name, text in self.now.documents.items() if text in wanted}
        where = Condition(f"payload IN ({', '.join('?' * len(wanted))})", tuple(sorted(wanted)))
        for index in (self.index, self.other):
            found = index.search(vectors([query], dimension), k, where=where)
            assert named(index, found) == expected(matching, query, k, dimension)

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.folder / "x")

    def keep(self, changes: int) -> None:
        self.past = self.past[-1 - changes :]

    @invariant()
    def the_other_is_in_the_present_state(self) -> None:
        now = self.now
        assert contents(self.other) == now.documents
        assert (len(self.other), self.other.schema, self.other.options) == (len(now.documents), now.schema, now.options)
        dimension = now.schema.dimension
        assert answers(self.other, "text 0", 9, dimension) == expected(now.documents, "text 0", 9, dimension)

    @invariant()
    def history_is_told(self) -> None:
        known = self.index.history()
        assert [commit.documents for commit in known if commit.undoable] == [
            len(state.documents) for state in reversed(self.past[1:])
        ]
        assert [commit.number for commit in known] == list(range(known[0].number, known[-1].number - 1, -1))

    @invariant()
    @precondition(lambda self: bool(self.now.documents))
    def every_vector_is_its_own(self) -> None:
        stored = [hit for hit in self.index.get(list(self.now.documents)) if hit is not None]
        wanted = vectors([hit.payload for hit in stored], self.now.schema.dimension)
        assert np.array_equal(self.index.vectors([hit.row for hit in stored]), wanted)

    def teardown(self) -> None:
        assert self.index.verify() == []
        self.index.close()
        self.other.close()
        shutil.rmtree(self.folder)


HistoryMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=12, deadline=None)
TestHistory = HistoryMachine.TestCase


FIRST = {"a": "apple", "b": "pear", "c": "fig"}


def test_a_bad_sync_is_undone_after_many_compactions_and_redone(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST) as index, Index.open(tmp_path / "x") as other:
        change(index, {"c": "plum", "d": "fig"}, sync=True)
        for _ in range(4):
            index.compact()
        report = index.rollback()
        assert (report.added, report.changed, report.unchanged, report.removed) == (2, 1, 0, 1)
        assert contents(other) == FIRST
        assert answers(other, "apple", 4) == expected(FIRST, "apple", 4)
        assert index.verify() == []
        index.rollback()
        assert contents(other) == {"c": "plum", "d": "fig"}
        assert index.verify() == []
        (last, *_) = index.history()
        assert (last.kind, last.added, last.changed, last.removed, last.documents) == ("rollback", 1, 1, 2, 2)


def test_what_is_alike_before_and_after_stays_untouched(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST) as index:
        change(index, {"a": "quince"})
        change(index, {"a": "apple", "d": "plum"})
        before = {hit.id: hit.row for hit in index.get(["a", "b", "c"]) if hit is not None}
        report = index.rollback(2)
        assert (report.added, report.changed, report.unchanged, report.removed) == (0, 0, 3, 1)
        assert {hit.id: hit.row for hit in index.get(["a", "b", "c"]) if hit is not None} == before


def test_a_remembered_text_is_not_encoded_again(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST) as index:
        change(index, delete=["b"], compact=True)
        index.compact()
        with index.writer() as writer:
            writer.put(records({"z": "pear"}))
            assert writer.pending_count() == 0
            writer.commit()
        assert np.array_equal(index.vectors([hit.row for hit in index.get(["z"]) if hit]), vectors(["pear"]))


def test_a_build_of_another_dimension_is_undone_in_a_new_segment(tmp_path: Path) -> None:
    options = BuildOptions(index_key="HNSW8")
    with build(tmp_path / "x", FIRST, options) as index:
        new = Index.create(tmp_path / "x", SCHEMAS[1], BuildOptions(), overwrite=True)
        with new, new.writer(replace=True) as writer:
            writer.put(records({"a": "apple"}, "other"))
            encode_pending(writer, 5)
            writer.commit()
        assert index.rollback().generation == 3
        assert (index.schema, index.options, index.info().index_key) == (SCHEMA, options, "HNSW8")
        assert contents(index) == FIRST
        assert answers(index, "pear", 3) == expected(FIRST, "pear", 3)
        assert index.rollback().generation == 4
        assert (index.schema, contents(index)) == (SCHEMAS[1], {"a": "apple"})
        assert index.verify() == []


def test_a_compaction_after_a_rollback_extends_an_ann_index_that_finds_what_came_back(tmp_path: Path) -> None:
    wide = IndexSchema(space="test", dimension=32, model="none")
    options = BuildOptions(index_key="HNSW16", target_recall=None, dead_share=0.5, tail_limit=500)
    many = {f"d{number}": f"text {number}" for number in range(900)}

    def put(index: Index, documents: dict[str, str], *, replace: bool = False, sync: bool = False) -> None:
        with index.writer(replace=replace, sync=sync) as writer:
            writer.put(records(documents))
            encode_pending(writer, 32)
            writer.commit()

    with Index.create(tmp_path / "x", wide, options) as index:
        put(index, many, replace=True)
        put(index, dict(list(many.items())[100:]), sync=True)
        Index.rebuild(tmp_path / "x")
        put(index, {f"e{number}": f"other {number}" for number in range(50)})
        index.rollback(2)
        for _ in range(2):
            for query in ("text 7", "text 99", "text 100", "text 899", "other 3"):
                assert answers(index, query, 3, 32) == expected(many, query, 3, 32)
            index.compact()
        assert index.verify() == []


def test_compactions_forget_what_is_older_than_the_options_say(tmp_path: Path) -> None:
    with build(tmp_path / "x", {}, BuildOptions(history=2)) as index:
        for number in range(5):
            change(index, {"a": f"text {number}"})
        assert sum(commit.undoable for commit in index.history()) == 5
        index.compact()
        assert [commit.kind for commit in index.history()] == ["compact", "update", "update", "update"]
        with pytest.raises(InvalidInputError, match="^history does not reach back 3 commits: undo at most 2$"):
            index.rollback(3)
        index.rollback(2)
        assert contents(index) == {"a": "text 2"}


def test_gc_forgets_and_gives_space_back(tmp_path: Path) -> None:
    documents = {f"d{number}": f"text {number} " + "x" * 2_000 for number in range(200)}
    with build(tmp_path / "x", documents) as index, Index.open(tmp_path / "x") as other:
        change(index, {"d0": "new"}, sync=True)
        report = index.gc(keep=1)
        assert (report.commits, report.versions) == (0, 0)
        report = index.gc(keep=0)
        assert (report.commits, report.versions) == (2, 200)
        assert report.bytes > 200 * 2_000
        assert (index.info().generation, index.info().bytes) == (2, other.info().bytes)
        assert contents(other) == {"d0": "new"}
        assert index.gc(keep=0) == GcReport(0, 0, 0)
        with pytest.raises(InvalidInputError, match="^history does not reach back 1 commits: none can be undone$"):
            index.rollback()
        with index.writer() as writer:
            writer.put(records({"d5": documents["d5"]}))
            assert writer.pending_count() == 1
        assert index.verify() == []


def test_gc_keeps_what_it_is_told_though_the_options_say_less(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST, BuildOptions(history=1)) as index:
        change(index, delete=["a"])
        change(index, delete=["b"])
        change(index, delete=["c"])
        report = index.gc(keep=2)
        assert (report.commits, report.versions) == (1, 1)
        assert index.info().generation == 2
        index.rollback(2)
        assert contents(index) == {"b": "pear", "c": "fig"}
        assert index.verify() == []


def test_a_rebuilt_segment_ends_what_can_be_undone(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST) as index:
        change(index, delete=["a"])
        index.compact()
        path = tmp_path / "x" / "segments" / "2" / "vectors.npy"
        path.write_bytes(path.read_bytes()[:-1])
        new = Index.create(tmp_path / "x", SCHEMA, overwrite=True)
        with new:
            change(new, FIRST, replace=True)
        with pytest.raises(InvalidInputError, match="none can be undone"):
            index.rollback()
        assert (contents(index), index.verify()) == (FIRST, [])


@pytest.mark.parametrize(("steps", "message"), [(0, "at least 1, not 0"), (-1, "at least 1, not -1")])
def test_less_than_one_commit_is_not_undone(tmp_path: Path, steps: int, message: str) -> None:
    with build(tmp_path / "x", FIRST) as index:
        with pytest.raises(InvalidInputError, match=message):
            index.rollback(steps)
        with pytest.raises(InvalidInputError, match="commits to keep must be at least 0, not -1"):
            index.gc(-1)


def test_history_waits_for_who_writes(tmp_path: Path) -> None:
    with build(tmp_path / "x", FIRST) as index, index.writer():
        for command in (lambda: index.rollback(wait=0.01), lambda: index.gc(1, wait=0.01)):
            with pytest.raises(IndexLockedError, match="waited 0.01 seconds"):
                command()


def edit(folder: Path, statement: str) -> None:
    with apsw.Connection(str(folder / "store.sqlite")) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "UPDATE documents SET payload = 'other' WHERE died IS NOT NULL",
            "row 1, document 'a', does not match its hash",
        ),
        ("DELETE FROM fresh", "vector 3 is nowhere, a document version needs it"),
        ("UPDATE fresh SET data = zeroblob(32)", "fresh vector 3 does not match its hash"),
    ],
)
def test_verify_looks_at_what_can_be_brought_back(tmp_path: Path, statement: str, message: str) -> None:
    build(tmp_path / "x", FIRST).close()
    with Index.open(tmp_path / "x") as index:
        change(index, delete=["a"], compact=True)
    edit(tmp_path / "x", statement)
    with Index.open(tmp_path / "x") as index:
        assert [problem.message for problem in index.verify()] == [message]


DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from twinbert.index import Index
from twinbert.index import history, layout, publish, session, undo

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

folder, command, point = sys.argv[2:]
WHERE = {
    "versions changed": (session, "add_commit"),
    "segment renamed": (publish, "keep_history"),
    "history kept": (history, "_move_to_fresh"),
    "forgotten": (undo, "forget_vectors"),
    "committed": (session.Session, "tidy"),
}
setattr(*WHERE[point], die)
index = Index.open(folder)
index.rollback(2) if command == "rollback" else index.gc(0)
"""


@pytest.mark.parametrize(
    ("command", "point"),
    [
        ("rollback", "versions changed"),
        ("rollback", "segment renamed"),
        ("rollback", "history kept"),
        ("rollback", "committed"),
        ("gc", "versions changed"),
        ("gc", "segment renamed"),
        ("gc", "forgotten"),
        ("gc", "committed"),
    ],
)
def test_a_kill_leaves_all_or_nothing(tmp_path: Path, command: str, point: str) -> None:
    with build(tmp_path / "x", FIRST) as index:
        new = Index.create(tmp_path / "x", SCHEMA, BuildOptions(history=7), overwrite=True)
        with new:
            change(new, {"a": "apple", "b": "plum"}, replace=True)
        change(index, {"b": "quince", "d": "date"})
        done = subprocess.run(
            [sys.executable, "-c", DYING, str(Path(__file__).parent), str(tmp_path / "x"), command, point],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
        now = {"a": "apple", "b": "quince", "d": "date"}
        happened = point == "committed"
        visible = FIRST if happened and command == "rollback" else now
        for reader in (index, Index.open(tmp_path / "x")):
            assert contents(reader) == visible
            assert reader.verify() == []
        undoable = {("rollback", False): 2, ("rollback", True): 3, ("gc", False): 2, ("gc", True): 0}
        assert sum(commit.undoable for commit in index.history()) == undoable[command, happened]
        change(index, {"e": "fig"})
        index.rollback()
        assert (contents(index), index.verify()) == (visible, [])
        (segment,) = (tmp_path / "x" / "segments").iterdir()
        assert segment.name == str(index.info().generation)
