"""BM25 from cached terms is what plain Python counts over the texts that live, whatever was done to the index."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from evidence_world import asked, bm25, build, change, check_found
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from index_world import build as build_plain
from index_world import contents, vectors
from twinbert.errors import IndexFolderError, InvalidInputError
from twinbert.index import BuildOptions, Condition, Index, QueryTerms

QUERY = {"red": 1.0, "green": 2.0, "absent": 1.0, "blue": 1.0}
NAMES = st.sampled_from([f"d{number}" for number in range(9)])
TEXTS = st.lists(st.sampled_from(["red", "green", "blue", "grey", "dun", "jade"]), max_size=6).map(" ".join)
DOCUMENTS = st.dictionaries(NAMES, TEXTS, max_size=6)
OPTIONS = [BuildOptions(), BuildOptions(history=1), BuildOptions(index_key="HNSW8", history=3, tail_limit=2)]


def scores(index: Index, query: dict[str, float]) -> dict[str, float]:
    """BM25 of every live document, by id."""
    assert len(index) == len(contents(index))  # which follows the last commit, as every search does
    stored = [one for one in index.get(list(contents(index))) if one is not None]
    found = index.bm25([one.row for one in stored], asked(query))
    assert found.dtype == np.float32
    return dict(zip([one.id for one in stored], found.tolist(), strict=True))


def check(index: Index) -> None:
    documents = contents(index)
    assert scores(index, QUERY) == pytest.approx(bm25(documents, QUERY), rel=1e-5)
    for k in (2, 20):
        check_found(index, documents, QUERY, k)


class EvidenceMachine(RuleBasedStateMachine):
    """An index with evidence, and another that reads it."""

    @initialize(documents=DOCUMENTS, options=st.sampled_from(OPTIONS))
    def start(self, documents: dict[str, str], options: BuildOptions) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.index = build(self.folder / "x", documents, options)
        self.other = Index.open(self.folder / "x")

    @rule(put=DOCUMENTS, delete=st.sets(NAMES, max_size=3), compact=st.booleans())
    def update(self, put: dict[str, str], delete: set[str], compact: bool) -> None:
        change(self.index, put, delete - put.keys(), compact=compact)

    @rule(documents=DOCUMENTS)
    def sync(self, documents: dict[str, str]) -> None:
        change(self.index, documents, sync=True)

    @rule(documents=DOCUMENTS)
    def replace(self, documents: dict[str, str]) -> None:
        change(self.index, documents, replace=True)

    @rule(steps=st.integers(1, 4))
    def roll_back(self, steps: int) -> None:
        undoable = sum(commit.undoable for commit in self.index.history())
        if steps <= undoable:
            self.index.rollback(steps)

    @rule(keep=st.integers(0, 3))
    def collect(self, keep: int) -> None:
        self.index.gc(keep)

    @rule()
    def compact(self) -> None:
        self.index.compact()

    @rule()
    def rebuild(self) -> None:
        Index.rebuild(self.folder / "x")

    @rule()
    def reopen(self) -> None:
        self.index.close()
        self.index = Index.open(self.folder / "x")

    @rule()
    def ask(self) -> None:
        """Only now and then, so that statistics are carried over several commits."""
        check(self.index)

    @invariant()
    def the_other_scores_alike(self) -> None:
        check(self.other)

    def teardown(self) -> None:
        check(self.index)
        assert self.index.verify() == []
        self.index.close()
        self.other.close()
        shutil.rmtree(self.folder)


EvidenceMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=10, deadline=None)
TestEvidence = EvidenceMachine.TestCase


def test_a_filter_leaves_the_statistics_alone(tmp_path: Path) -> None:
    documents = {"a": "red red green", "b": "red", "c": "blue grey", "d": "grey"}
    with build(tmp_path / "x", documents) as index:
        found = index.search(vectors(["red"]), 9, where=Condition("id IN ('a', 'b')")).rows[0]
        rows = found[found >= 0]
        names = [stored.id for stored in index.stored(rows)]
        wanted = bm25(documents, QUERY)
        assert index.bm25(rows, asked(QUERY)).tolist() == pytest.approx([wanted[name] for name in names], rel=1e-5)


def test_rows_of_a_search_are_scored_after_the_next_commit(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "red", "b": "green"}) as index, Index.open(tmp_path / "x") as other:
        rows = index.search(vectors(["red"]), 2).rows[0]
        before = index.bm25(rows, asked(QUERY))
        change(other, {"a": "blue", "c": "red"})
        other.compact()
        assert index.bm25(rows, asked(QUERY)).tolist() == before.tolist()
        with pytest.raises(IndexFolderError, match="row 99 is not in the index any more: search again"):
            index.bm25([99], asked(QUERY))


def test_equal_documents_score_to_the_bit_alike_in_any_company(tmp_path: Path) -> None:
    documents = {f"d{n}": f"{'red ' * (n % 3)}green blue {n % 2}" for n in range(50)}
    with build(tmp_path / "x", documents) as index:
        change(index, {f"e{n}": f"red green {n}" for n in range(20)})
        stored = index.get([*documents, *(f"e{n}" for n in range(20))])
        rows = [one.row for one in stored if one is not None]
        together = index.bm25(rows, asked(QUERY))
        alone = [float(index.bm25([row], asked(QUERY))[0]) for row in rows]
        assert together.tolist() == alone
        assert len(set(together.tolist())) == 4


def test_no_terms_and_no_rows_score_nothing(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "red", "b": ""}) as index:
        assert index.bm25([1, 2], asked({})).tolist() == [0, 0]
        assert index.bm25([2], asked(QUERY)).tolist() == [0]
        assert index.bm25([], asked(QUERY)).shape == (0,)
    with build(tmp_path / "y", {}) as index:
        assert index.bm25([], asked(QUERY)).shape == (0,)


def test_an_index_without_evidence_says_so(tmp_path: Path) -> None:
    message = "keeps no evidence: build it again with evidence"
    with build_plain(tmp_path / "x", {"a": "red"}) as index, pytest.raises(InvalidInputError, match=message):
        index.bm25([1], asked(QUERY))


@pytest.mark.parametrize(
    ("terms", "weights", "message"),
    [
        (np.array([1]), np.array([1], np.float32), "terms must be an array of uint32, 1-d"),
        (np.array([1], np.uint32), np.array([1.0]), "weights must be an array of float32, 1-d"),
        (np.array([1], np.uint32), np.array([], np.float32), "every term needs its weight"),
        (np.array([1], np.uint32), np.array([np.nan], np.float32), "a finite number"),
        (np.array([1, 1], np.uint32), np.array([1, 1], np.float32), "each term may come once"),
    ],
)
def test_what_are_no_query_terms_is_refused(terms: np.ndarray, weights: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        QueryTerms(terms, weights)
