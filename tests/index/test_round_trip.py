import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_world import SCHEMA, build, change, contents, encode_pending, key, records, vector, vectors
from twinbert.errors import DuplicateIdError, IndexFolderError, InvalidInputError
from twinbert.index import AnnOptions, BuildOptions, ChangeReport, Index, IndexSchema, Record, Stored

TEXTS = {"a": "apple", "b": "pear", "c": "apple", "d": "fig"}


def test_what_was_built_is_read_back(tmp_path: Path) -> None:
    build(tmp_path / "x", TEXTS).close()
    with Index.open(tmp_path / "x") as index:
        assert contents(index) == TEXTS
        assert list(index.ids()) == ["a", "b", "c", "d"]
        assert (len(index), "c" in index, "e" in index) == (4, True, False)
        assert (index.schema, index.options) == (SCHEMA, BuildOptions())
        assert [hit and hit.payload for hit in index.get(["d", "nobody", "a"])] == ["fig", None, "apple"]
        assert index.verify() == []


def test_stored_and_vectors_follow_the_order_of_rows(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        change(index, {"e": "plum"})
        rows = [hit.row for hit in index.get(["e", "a", "d", "a"]) if hit is not None]
        assert [hit.id for hit in index.stored(rows)] == ["e", "a", "d", "a"]
        assert np.array_equal(index.vectors(rows), vectors(["plum", "apple", "fig", "apple"]))
        assert index.stored([rows[1]]) == [Stored(rows[1], "a", "apple")]


@pytest.mark.parametrize("read", [Index.stored, Index.vectors])
def test_a_row_that_was_never_given_is_refused(tmp_path: Path, read: object) -> None:
    with build(tmp_path / "x", TEXTS) as index, pytest.raises(IndexFolderError, match="row -1 is not in the index"):
        read(index, [1, -1])  # type: ignore[operator]


def test_equal_texts_share_one_vector(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "x", SCHEMA)
    with index.writer(replace=True) as writer:
        writer.put(records(TEXTS))
        assert writer.pending_count() == 3
        assert encode_pending(writer) == 3
        assert writer.pending_count() == 0
        assert writer.commit() == ChangeReport(4, 0, 0, 0, 0, documents=4, generation=1)
    assert (index.info().documents, index.info().vectors) == (4, 3)


def test_pending_gives_each_key_once_shortest_payload_first(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "x", SCHEMA)
    with index.writer(replace=True) as writer:
        writer.put([Record("long", key("t"), "a longer payload"), Record("short", key("t"), "brief")])
        writer.put([Record("other", key("u"), "x"), Record("third", key("v"), "middling")])
        batches = list(writer.pending(batch_rows=2))
    assert batches[0][0] == (key("u"), "x")
    assert [len(batch) for batch in batches] == [2, 1]
    assert sorted(name for batch in batches for name, _ in batch) == sorted([key("t"), key("u"), key("v")])


def test_only_the_payload_changed_needs_no_new_vector(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, index.writer() as writer:
        writer.put([Record("a", key("apple"), "apple, with other metadata")])
        assert writer.pending_count() == 0
        assert writer.commit() == ChangeReport(0, 1, 0, 0, 0, documents=4, generation=1)
        assert [hit and hit.payload for hit in index.get(["a"])] == ["apple, with other metadata"]
        assert index.search(vectors(["apple"]), 1).scores[0, 0] == pytest.approx(1)


def test_report_counts_each_kind(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        report = change(index, {"a": "apple", "b": "quince", "e": "plum"}, delete=["d", "nobody"])
        assert report == ChangeReport(added=1, changed=1, unchanged=1, removed=1, missing=1, documents=4, generation=1)
        again = change(index, {"a": "apple"})
        assert (again.unchanged, again.added, index.info().commit) == (1, 0, 2)


def test_manifest_describes_the_generation(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        index.compact()
    manifest = json.loads((tmp_path / "x" / "manifest.json").read_text())
    assert manifest["segment"]["generation"] == 2
    assert (manifest["commit"]["documents"], manifest["segment"]["vectors"]) == (4, 3)
    assert sorted(path.name for path in (tmp_path / "x" / "segments").iterdir()) == ["2"]


def test_an_empty_index_answers(tmp_path: Path) -> None:
    with build(tmp_path / "x", {}) as index:
        found = index.search(vectors(["apple"]), 3)
        assert found.rows.tolist() == [[-1] * 3]
        assert found.scores.tolist() == [[-np.inf] * 3]
        assert (len(index), list(index.ids()), index.verify()) == (0, [], [])


@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=8, unique=True))
@settings(max_examples=15, deadline=None)
def test_any_unicode_id_and_payload_survives(tmp_path_factory: pytest.TempPathFactory, ids: list[str]) -> None:
    documents = {name: f"text of {name}" for name in ids}
    with build(tmp_path_factory.mktemp("unicode") / "x", documents) as index:
        assert contents(index) == documents
        assert list(index.ids()) == sorted(ids)
        change(index, delete=ids[:1])
        assert sorted(contents(index)) == sorted(ids[1:])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("", key("t"), "{}"), "non-empty string"),
        ((7, key("t"), "{}"), "non-empty string, not 7"),
        (("\ud800", key("t"), "{}"), "lone surrogates"),
        (("a", b"short", "{}"), "32 bytes"),
        (("a", key("t"), "\udfff"), "lone surrogates"),
    ],
)
def test_records_that_cannot_be_stored_are_refused(fields: tuple[str, bytes, str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Record(*fields)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BuildOptions(flat_below=-1), "flat_below must be a whole number of at least 0"),
        (lambda: BuildOptions(ef_construction=0), "ef_construction"),
        (lambda: BuildOptions(dead_share=1.5), "dead_share must be between 0 and 1, not 1.5"),
        (lambda: AnnOptions(ef_search=0), "ef_search must be a whole number of at least 1, not 0"),
        (lambda: IndexSchema("s", 0, "m"), "dimension must be a whole number of at least 1, not 0"),
    ],
)
def test_options_out_of_range_are_refused(make: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.full((1, 8), np.nan, np.float32), "norm nan"),
        (np.full((1, 8), np.inf, np.float32), "norm inf"),
        (np.zeros((1, 8), np.float32), "norm 0: hand in unit vectors"),
        (vectors(["apple"]) * np.float32(1.002), "norm 1.002"),
        (vectors(["apple"])[:, :5], r"shape \(n, 8\) of this index, not \(1, 5\)"),
        (vector("apple"), r"shape \(n, 8\)"),
    ],
)
def test_vectors_that_are_not_unit_rows_are_refused(tmp_path: Path, matrix: np.ndarray, message: str) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        with index.writer() as writer, pytest.raises(InvalidInputError, match=message):
            writer.put_vectors([key("new")], matrix)
        with pytest.raises(InvalidInputError, match=message):
            index.search(matrix, 1)


def test_one_id_twice_in_one_command_is_refused_and_stages_nothing(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, index.writer() as writer:
        with pytest.raises(DuplicateIdError, match="id 'n' comes twice in one command"):
            writer.put([Record(name, key("t"), "t") for name in ("n", "n")])
        with pytest.raises(DuplicateIdError, match="id 'a' comes twice in one command"):
            writer.delete(["a", "a"])
        writer.delete(["a"])
        with pytest.raises(DuplicateIdError, match="id 'a' comes twice"):
            writer.put(records({"a": "apple"}))
        assert writer.commit().removed == 1
        assert sorted(contents(index)) == ["b", "c", "d"]


def test_commit_without_vectors_is_refused(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        with index.writer() as writer:
            writer.put(records({"e": "plum"}))
            with pytest.raises(InvalidInputError, match="1 documents have no vector, 'e' among them"):
                writer.commit()
        assert contents(index) == TEXTS


def test_misuse_is_refused(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, index.writer() as writer:
        with pytest.raises(InvalidInputError, match="must be a list of ids"):
            writer.delete("abc")
        with pytest.raises(InvalidInputError, match="takes Records, not dict"):
            writer.put([{"id": "a"}])  # type: ignore[list-item]
        with pytest.raises(InvalidInputError, match="as many keys of 32 bytes"):
            writer.put_vectors([], vectors(["apple"]))
        with pytest.raises(InvalidInputError, match="k must be at least 1"):
            index.search(vectors(["apple"]), 0)
        writer.commit()
        with pytest.raises(InvalidInputError, match="has committed: open another"):
            writer.commit()
