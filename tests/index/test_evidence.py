"""Evidence lies beside its vector wherever that goes: in a build's files, in the store, in segments, in history."""

from pathlib import Path

import apsw
import numpy as np
import pytest
from evidence_world import EVIDENCE, SCHEMA, WIDTH, build, change, encode_pending, evidence, parts
from index_world import build as build_plain
from index_world import contents, key, records, vectors
from twinbert.errors import IndexDamagedError, IndexFolderError, InvalidInputError
from twinbert.index import Evidence, EvidenceSchema, Index, IndexSchema

TEXTS = {f"d{n:02}": f"word{n % 3} text {n % 7} text" + f". part {n}" * (n % 4) for n in range(30)}


def check(index: Index) -> None:
    """All that is kept of every live document is what its text says."""
    documents = contents(index)
    stored = [one for one in index.get(list(documents)) if one is not None]
    found, starts = index.parts([one.row for one in stored])
    assert found.dtype == np.int8
    for place, one in enumerate(stored):
        assert found[starts[place] : starts[place + 1]].tolist() == parts(one.payload)
    assert index.verify() == []


def test_it_follows_every_command(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, Index.open(tmp_path / "x") as other:
        for act in (
            lambda: change(index, {"new": "a new. text. here", "d03": "word1 text 4 text"}, ["d05"]),
            lambda: change(index, dict(list(TEXTS.items())[:9]) | {"z": "last. one"}, sync=True),
            index.compact,
            lambda: index.rollback(2),
            index.compact,
            lambda: index.gc(1),
            lambda: Index.rebuild(tmp_path / "x"),
        ):
            act()
            check(index)
            check(other)
        assert contents(index) == TEXTS


def test_a_build_that_was_stopped_goes_on_with_what_it_staged(tmp_path: Path) -> None:
    with Index.create(tmp_path / "x", SCHEMA) as index, index.writer(replace=True) as writer:
        writer.put(records(TEXTS, SCHEMA.space))
        (batch, *_) = writer.pending(20)
        writer.put_vectors(
            [name for name, _ in batch], vectors([text for _, text in batch]), evidence([text for _, text in batch])
        )
    with Index.create(tmp_path / "x", SCHEMA, resume=True) as index:
        with index.writer(replace=True) as writer:
            writer.put(records(TEXTS, SCHEMA.space))
            assert writer.pending_count() == len(TEXTS) - 20
        change(index, TEXTS, replace=True)
        check(index)
    assert not list((tmp_path / "x").glob("staged*"))


@pytest.mark.parametrize("lost", [1, 10**6])
def test_a_build_whose_staged_evidence_is_lost_asks_for_it_again(tmp_path: Path, lost: int) -> None:
    with Index.create(tmp_path / "x", SCHEMA) as index, index.writer(replace=True) as writer:
        writer.put(records(TEXTS, SCHEMA.space))
        for batch in list(writer.pending(10)):
            texts = [text for _, text in batch]
            writer.put_vectors([name for name, _ in batch], vectors(texts), evidence(texts))
    staged = tmp_path / "x" / "staged.evidence"
    staged.write_bytes(staged.read_bytes()[:-lost])
    with Index.create(tmp_path / "x", SCHEMA, resume=True) as index:
        with index.writer(replace=True) as writer:
            writer.put(records(TEXTS, SCHEMA.space))
            assert writer.pending_count() == (10 if lost == 1 else len(TEXTS))
        change(index, TEXTS, replace=True)
        check(index)


@pytest.mark.parametrize("statement", ["UPDATE evidence SET terms = x''", "DELETE FROM evidence"])
def test_fresh_evidence_that_is_damaged_is_asked_for_again(tmp_path: Path, statement: str) -> None:
    documents = TEXTS | {"z": "fresh. part"}
    with build(tmp_path / "x", TEXTS) as index:
        change(index, {"z": "fresh. part"})
    with apsw.Connection(str(tmp_path / "x" / "store.sqlite")) as connection:
        connection.execute(statement)
    with pytest.raises(IndexDamagedError, match="evidence"):
        Index.open(tmp_path / "x")
    with Index.create(tmp_path / "x", SCHEMA, overwrite=True) as index:
        with index.writer(replace=True, repair=True) as writer:
            writer.put(records(documents, SCHEMA.space))
            assert encode_pending(writer) == len(set(documents.values()))
            writer.commit()
        check(index)


@pytest.mark.parametrize("name", ["terms.npy", "counts.npy", "lengths.npy", "parts.npy", "part_starts.npy"])
def test_a_segment_s_damaged_evidence_is_asked_for_again(tmp_path: Path, name: str) -> None:
    build(tmp_path / "x", TEXTS).close()
    path = tmp_path / "x" / "segments" / "1" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(IndexDamagedError, match="segments/1/.*rebuild"):
        Index.rebuild(tmp_path / "x")
    with Index.create(tmp_path / "x", SCHEMA, overwrite=True) as index:
        change(index, TEXTS, replace=True)
        check(index)


@pytest.mark.parametrize("name", ["vocabulary.npy", "frequencies.npy"])
def test_what_was_counted_is_counted_again(tmp_path: Path, name: str) -> None:
    with build(tmp_path / "x", TEXTS) as index:
        path = tmp_path / "x" / "segments" / "1" / name
        sound = path.read_bytes()
        path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
        assert [problem.file for problem in index.verify()] == [f"segments/1/{name}"]
    Index.rebuild(tmp_path / "x")
    assert (tmp_path / "x" / "segments" / "2" / name).read_bytes() == sound
    with Index.open(tmp_path / "x") as index:
        check(index)


def test_another_kind_is_another_vector(tmp_path: Path) -> None:
    """As with the vector space, what the note says belongs into the keys."""
    other = IndexSchema(SCHEMA.space, 8, "none", EvidenceSchema("another", WIDTH))
    with build(tmp_path / "x", TEXTS) as index:
        for schema in (other, IndexSchema(SCHEMA.space, 8, "none")):
            new = Index.create(tmp_path / "x", schema, overwrite=True)
            with new, new.writer(replace=True) as writer:
                writer.put(records(TEXTS, SCHEMA.space))
                assert writer.pending_count() == 0
                with pytest.raises(InvalidInputError, match="evidence of another kind: hash its note into vector keys"):
                    writer.commit()
        check(index)


def test_builds_with_and_without_it_are_undone(tmp_path: Path) -> None:
    with build_plain(tmp_path / "x", {"a": "apple", "b": "pear"}) as index:
        with pytest.raises(InvalidInputError, match="keeps no evidence: build it again with evidence"):
            index.parts([1])
        with Index.create(tmp_path / "x", SCHEMA, overwrite=True) as new:
            change(new, TEXTS, replace=True)
            check(new)
        index.rollback()
        assert (contents(index), index.schema.evidence) == ({"a": "apple", "b": "pear"}, None)
        index.rollback()
        assert (contents(index), index.schema.evidence) == (TEXTS, EVIDENCE)
        check(index)


def test_it_is_asked_for_exactly_where_the_schema_says(tmp_path: Path) -> None:
    with Index.create(tmp_path / "x", SCHEMA) as index, index.writer(replace=True) as writer:
        with pytest.raises(InvalidInputError, match="keeps evidence: put every vector with its Evidence"):
            writer.put_vectors([key("a")], vectors(["a"]))
        with pytest.raises(InvalidInputError, match="1 vectors need 1 entries .* of 3 bytes, not 2 with 3"):
            writer.put_vectors([key("a")], vectors(["a"]), evidence(["a", "b"]))
        with pytest.raises(InvalidInputError, match="not 1 with 2"):
            writer.put_vectors([key("a")], vectors(["a"]), Evidence.empty(1, 2))
    plain = Index.create(tmp_path / "y", IndexSchema("s", 8, "none"))
    with plain, plain.writer(replace=True) as writer, pytest.raises(InvalidInputError, match="keeps no evidence"):
        writer.put_vectors([key("a")], vectors(["a"]), evidence(["a"]))


def changed(**arrays: object) -> dict[str, object]:
    sound = evidence(["a b. c", "b"])
    return {name: getattr(sound, name) for name in ("term_starts", "terms", "counts", "part_starts", "parts")} | arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"terms": np.array([1, 2, 3], np.int64)}, "terms must be an array of uint32, 1-d"),
        ({"parts": np.zeros(3, np.int8)}, "parts must be an array of int8, 2-d"),
        ({"term_starts": np.array([0, 9, 4])}, "term_starts must ascend from 0 to 4"),
        ({"term_starts": np.array([0, 4])}, "must be of as many entries"),
        ({"part_starts": np.array([0, 0, 0])}, "part_starts must ascend from 0 to 1"),
        ({"counts": np.array([1, 0, 1, 1], np.uint16)}, "needs its count, of at least 1"),
        ({"terms": np.array([1, 1, 3, 1], np.uint32)}, "must ascend, each of them once"),
        ({"terms": np.array([2, 1, 3, 1], np.uint32)}, "must ascend, each of them once"),
    ],
)
def test_what_is_no_evidence_is_refused(arrays: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Evidence(**changed(**arrays))  # type: ignore[arg-type]


def test_a_part_width_below_none_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="part_width must be between 0"):
        EvidenceSchema("", -1)


def test_entries_may_be_empty(tmp_path: Path) -> None:
    schema = IndexSchema("s", 8, "none", EvidenceSchema("nothing", 0))
    with Index.create(tmp_path / "x", schema) as index:
        with index.writer(replace=True) as writer:
            writer.put(records({"a": "a", "b": "b"}))
            writer.put_vectors([key("a"), key("b")], vectors(["a", "b"]), Evidence.empty(2, 0))
            writer.commit()
        with index.writer() as writer:
            writer.put(records({"c": "c"}))
            writer.put_vectors([key("c")], vectors(["c"]), Evidence.empty(1, 0))
            writer.commit()
        found, starts = index.parts([1, 3])
        assert (found.shape, starts.tolist(), index.verify()) == ((0, 0), [0, 0, 0], [])


def test_somebody_elses_build_with_other_evidence_is_not_finished(tmp_path: Path) -> None:
    mine = Index.create(tmp_path / "x", SCHEMA)
    other = IndexSchema(SCHEMA.space, 8, "none", EvidenceSchema("another", WIDTH))
    message = "with other evidence meanwhile: agree on one"
    with mine, Index.create(tmp_path / "x", other, overwrite=True), pytest.raises(IndexFolderError, match=message):
        change(mine, {"a": "apple"}, replace=True)
