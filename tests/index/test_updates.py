"""Any sequence of commands leaves the index as it leaves a dictionary, and searches agree with brute force."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from index_world import SCHEMA, answers, build, change, contents, encode_pending, expected, key, named, records, vectors
from twinbert.errors import IndexFolderError, IndexUnfinishedError, InvalidInputError
from twinbert.index import AnnOptions, BuildOptions, ChangePlan, Index, IndexSchema

NAMES = st.sampled_from([f"d{number}" for number in range(12)])
TEXTS = st.sampled_from([f"text {number}" for number in range(5)])
DOCUMENTS = st.dictionaries(NAMES, TEXTS, max_size=6)
OPTIONS = [
    BuildOptions(),
    BuildOptions(tail_limit=3, tail_share=0.0),
    BuildOptions(index_key="HNSW8", tail_limit=5, tail_share=0.0),
    BuildOptions(index_key="IVF2,SQ8", target_k=3),
]


class IndexMachine(RuleBasedStateMachine):
    """The index, a second one opened on the same folder, and the dictionary they must equal."""

    @initialize(documents=DOCUMENTS, options=st.sampled_from(OPTIONS))
    def start(self, documents: dict[str, str], options: BuildOptions) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.index = build(self.folder / "x", documents, options)
        self.other = Index.open(self.folder / "x")
        self.documents = dict(documents)

    @rule(put=DOCUMENTS, delete=st.sets(NAMES, max_size=3))
    def update(self, put: dict[str, str], delete: set[str]) -> None:
        delete -= put.keys()
        report = change(self.index, put, delete, compact=self.index.is_worn)
        old = self.documents
        assert report.added == len(put.keys() - old.keys())
        assert report.unchanged == len(put.items() & old.items())
        assert report.changed == len(put.keys() & old.keys()) - report.unchanged
        assert (report.removed, report.missing) == (len(delete & old.keys()), len(delete - old.keys()))
        self.documents = {name: text for name, text in (old | put).items() if name not in delete}
        assert report.documents == len(self.documents)

    @rule(documents=DOCUMENTS)
    def replace(self, documents: dict[str, str]) -> None:
        report = change(self.index, documents, replace=True)
        assert report.removed == len(self.documents.keys() - documents.keys())
        self.documents = dict(documents)

    @rule(documents=DOCUMENTS)
    def sync(self, documents: dict[str, str]) -> None:
        before, old = self.index.info(), self.documents
        report = change(self.index, documents, sync=True)
        assert report.added == len(documents.keys() - old.keys())
        assert report.unchanged == len(documents.items() & old.items())
        assert report.changed == len(documents.keys() & old.keys()) - report.unchanged
        assert (report.removed, report.documents) == (len(old.keys() - documents.keys()), len(documents))
        assert report.generation == before.generation
        assert self.index.info().commit == before.commit + (documents != old)
        self.documents = dict(documents)

    @rule(put=DOCUMENTS)
    def give_up(self, put: dict[str, str]) -> None:
        with self.index.writer(replace=bool(len(put) % 2)) as writer:
            writer.put(records(put))
            encode_pending(writer)

    @rule()
    def compact(self) -> None:
        before = self.index.info().generation
        assert self.index.compact() == before + 1
        info = self.index.info()
        assert (info.generation, info.fresh, info.dead) == (before + 1, 0, 0)
        assert info.vectors == len(set(self.documents.values()))

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.folder / "x")

    @rule(query=TEXTS, k=st.integers(1, 14), exact=st.booleans())
    def search(self, query: str, k: int, exact: bool) -> None:
        found = self.index.search(vectors([query]), k, AnnOptions(exact=exact))
        assert named(self.index, found) == expected(self.documents, query, k)
        assert np.isneginf(found.scores[0][found.rows[0] < 0]).all()

    @invariant()
    def the_other_ranks_everything_alike(self) -> None:
        for k in (2, 14):
            assert answers(self.other, "text 0", k) == expected(self.documents, "text 0", k)

    @invariant()
    def same_contents(self) -> None:
        assert contents(self.other) == self.documents
        assert len(self.other) == len(self.documents)

    @invariant()
    @precondition(lambda self: bool(self.documents))
    def every_vector_is_its_own(self) -> None:
        stored = [hit for hit in self.index.get(list(self.documents)) if hit is not None]
        assert np.array_equal(self.index.vectors([hit.row for hit in stored]), vectors([hit.payload for hit in stored]))

    def teardown(self) -> None:
        assert self.index.verify() == []
        self.index.close()
        self.other.close()
        shutil.rmtree(self.folder)


IndexMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
TestSequences = IndexMachine.TestCase


def test_a_deleted_document_leaves_those_that_share_its_vector(tmp_path: Path) -> None:
    documents = {"a": "same", "b": "same", "c": "same", "d": "other"}
    with build(tmp_path / "x", documents) as index:
        change(index, {"e": "same", "b": "other"}, delete=["c"])
        now = {"a": "same", "b": "other", "d": "other", "e": "same"}
        assert answers(index, "same", 9) == expected(now, "same", 9)
        change(index, delete=["a", "e"])
        assert answers(index, "same", 9) == expected({"b": "other", "d": "other"}, "same", 9)
        assert index.info().vectors == 1


def test_a_sync_leaves_an_unfinished_build_and_the_options_alone(tmp_path: Path) -> None:
    options = BuildOptions(tail_limit=7)
    with build(tmp_path / "x", {"a": "apple", "b": "pear"}, options) as index:
        Index.create(tmp_path / "x", SCHEMA, BuildOptions(index_key="HNSW8"), overwrite=True).close()
        assert change(index, {"b": "fig"}, sync=True).removed == 1
        assert (contents(index), index.options, index.info().generation) == ({"b": "fig"}, options, 1)
        Index.create(tmp_path / "x", SCHEMA, resume=True).close()


def test_a_sync_needs_an_index(tmp_path: Path) -> None:
    with Index.create(tmp_path / "x", SCHEMA) as index:
        with pytest.raises(IndexUnfinishedError, match="holds no index: create one there first"):
            index.writer(sync=True).__enter__()
        with pytest.raises(InvalidInputError, match="a writer replaces, syncs or rebuilds: choose one of them"):
            index.writer(sync=True, replace=True)


def test_a_plan_writes_nothing_and_needs_no_vectors(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "apple", "b": "pear", "c": "fig"}) as index:
        for sync, gone in ((False, ["c", "e"]), (True, ["e"])):
            with index.writer(sync=sync) as writer:
                writer.put(records({"a": "apple", "b": "plum", "d": "plum"}))
                writer.delete(gone)
                assert writer.plan() == ChangePlan(1, 1, 1, removed=1, missing=1, to_encode=1)
        assert (len(index), index.info().commit) == (3, 1)


def test_rows_are_never_reused(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "apple", "b": "pear"}) as index:
        seen = {hit.row for hit in index.get(["a", "b"]) if hit is not None}
        for text in ("fig", "plum", "fig"):
            change(index, {"b": text})
            index.compact()
            (hit,) = index.get(["b"])
            assert hit is not None
            assert hit.row > max(seen)
            seen.add(hit.row)


def test_rows_of_a_search_outlive_the_next_commit_and_compaction(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "apple", "b": "pear"}) as index:
        change(index, {"c": "plum"})
        found = index.search(vectors(["plum"]), 3).rows[0]
        names = [hit.id for hit in index.stored(found)]
        with Index.open(tmp_path / "x") as other:
            change(other, delete=["a", "c"])
            other.compact()
        assert [hit.id for hit in index.stored(found)] == names
        assert index.vectors(found).shape == (3, 8)
        assert answers(index, "plum", 3) == expected({"b": "pear"}, "plum", 3)
        assert np.array_equal(index.vectors(found[:1]), vectors(["plum"]))


def test_rows_are_readable_over_two_compactions_and_then_refused(tmp_path: Path) -> None:
    forgetful = BuildOptions(history=0)
    with build(tmp_path / "x", {"a": "apple", "b": "pear"}, forgetful) as index, Index.open(tmp_path / "x") as other:
        found = index.search(vectors(["apple"]), 1).rows[0]
        for number in range(2):
            change(other, {"a": f"text {number}"}, compact=True)
            assert [hit.payload for hit in index.stored(found)] == ["apple"]
            assert len(index) == 2
            assert np.array_equal(index.vectors(found), vectors(["apple"]))
        for number in range(2):
            change(other, {"a": f"later {number}"}, compact=True)
            assert len(index) == 2
        for ask in (index.stored, index.vectors):
            with pytest.raises(IndexFolderError, match=f"row {found[0]} is not in the index any more: search again"):
                ask(found)


def test_ties_of_rows_forgotten_meanwhile_are_searched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = {"a": "same", "b": "same", "c": "same"}
    with build(tmp_path / "x", documents, BuildOptions(history=0)) as index, Index.open(tmp_path / "x") as other:
        ids_of = index._ids_of

        def compacted_meanwhile(rows: list[int]) -> dict[int, str]:
            monkeypatch.undo()
            change(other, {"b": "other"}, compact=True)
            for _ in range(3):
                other.compact()
            return ids_of(rows)

        monkeypatch.setattr(index, "_ids_of", compacted_meanwhile)
        assert answers(index, "same", 2) == expected({"a": "same", "c": "same"}, "same", 2)


def test_a_vector_dropped_by_compaction_is_asked_for_again(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "apple", "b": "pear"}, BuildOptions(history=0)) as index:
        change(index, delete=["b"])
        with index.writer() as writer:
            writer.put(records({"c": "pear"}))
            assert writer.pending_count() == 0
        index.compact()
        with index.writer() as writer:
            writer.put(records({"c": "pear"}))
            assert list(writer.pending(8)) == [[(key("pear"), "pear")]]


def test_a_large_tail_wears_the_index_and_is_left_to_compaction(tmp_path: Path) -> None:
    documents = {f"d{number}": f"text {number}" for number in range(10)}
    with build(tmp_path / "x", documents, BuildOptions(tail_limit=4, tail_share=0.0)) as index:
        assert change(index, {f"e{number}": "new" for number in range(4)}).generation == 1
        assert (index.info().fresh, index.is_worn) == (4, False)
        assert change(index, {"f": "newer"}).generation == 1
        assert (index.info().fresh, index.is_worn) == (5, True)
        assert index.compact() == 2
        assert (index.info().fresh, index.info().documents, index.is_worn) == (0, 15, False)


def test_many_dead_wear_the_index_and_are_left_to_compaction(tmp_path: Path) -> None:
    documents = {f"d{number}": f"text {number % 7}" for number in range(2_000)}
    with build(tmp_path / "x", documents) as index:
        assert change(index, delete=list(documents)[:1_000]).generation == 1
        assert (index.info().dead, index.is_worn) == (1_000, False)
        assert change(index, delete=list(documents)[1_000:1_001]).generation == 1
        assert (index.info().dead, index.is_worn) == (1_001, True)
        assert index.compact() == 2
        assert (index.info().dead, len(index), index.is_worn) == (0, 999, False)


def test_schema_is_kept(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "apple"}) as index:
        index.compact()
        assert index.schema == SCHEMA


def test_a_build_is_never_finished_in_the_vector_space_of_another(tmp_path: Path) -> None:
    other = IndexSchema("other", 8, "none")
    mine = Index.create(tmp_path / "x", SCHEMA)
    with Index.create(tmp_path / "x", other, overwrite=True) as theirs:
        message = "somebody else began to build .* in the vector space other meanwhile: agree on one"
        with pytest.raises(IndexFolderError, match=message):
            change(mine, {"a": "apple"}, replace=True)
        change(theirs, {"b": "pear"}, replace=True)
        with pytest.raises(IndexFolderError, match=message):
            change(mine, {"a": "apple"}, replace=True)
        assert (contents(theirs), theirs.schema) == ({"b": "pear"}, other)
        change(theirs, {"c": "fig"}, replace=True)
        assert contents(theirs) == {"c": "fig"}
    mine.close()
