"""Indexes that released formats wrote, kept as files: each version opens them, answers, and goes on with them."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import numpy as np
import pytest
from index_world import edit
from twinbert.errors import IndexFolderError, InvalidInputError
from twinbert.index import AnnOptions, BuildOptions, Index, IndexSchema, Listing, Record
from twinbert.index.store import FORMAT
from twinbert.retrieval.filters import condition_of, parse_filter

FIXTURES = Path(__file__).parents[1] / "fixtures"
FOLDERS = sorted(FIXTURES.glob("index-format-*"))
sys.path.insert(0, str(FIXTURES))

import make_index  # noqa: E402 - from beside the fixtures


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of an index, and what it holds."""
    shutil.copytree(request.param / "index", tmp_path / "x")
    return tmp_path / "x", json.loads((request.param / "expected.json").read_text(encoding="utf-8"))


def nearest(vectors: dict[str, list[float]], query: np.ndarray, k: int) -> list[str]:
    scores = {
        name: float(np.float32(np.asarray(row, np.float64) @ query.astype(np.float64))) for name, row in vectors.items()
    }
    return sorted(scores, key=lambda name: (scores[name], name), reverse=True)[:k]


def ids(index: Index, rows: np.ndarray) -> list[str]:
    return [stored.id for stored in index.stored(rows[rows >= 0])]


def documents(index: Index) -> dict[str, str]:
    return {stored.id: stored.payload for stored in index.get(list(index.ids())) if stored is not None}


def declared(folder: Path) -> list[tuple[str, str]]:
    address = f"file:{folder / 'store.sqlite'}?immutable=1"  # which leaves no file beside it
    connection = apsw.Connection(address, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    return connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").fetchall()


def schema_of(schema: IndexSchema, expected: dict[str, Any]) -> IndexSchema:
    """The schema as it was in the format that is kept: before version 3 without evidence."""
    return schema if expected["schema"].get("evidence") else replace(schema, evidence=None)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if "store" not in path.name)


def test_the_present_format_is_kept() -> None:
    assert f"index-format-{FORMAT}" in [folder.name for folder in FOLDERS]


def test_what_an_index_of_the_present_version_holds_is_what_is_kept(tmp_path: Path) -> None:
    """Lest the format is changed without a new number: then the fixture is made anew, while it is not released yet."""
    make_index.main(tmp_path)
    made = json.loads((tmp_path / "expected.json").read_text(encoding="utf-8"))
    kept = json.loads((FIXTURES / f"index-format-{FORMAT}" / "expected.json").read_text(encoding="utf-8"))
    assert (made["documents"], made["vectors"], made["schema"]) == (kept["documents"], kept["vectors"], kept["schema"])

    present = FIXTURES / f"index-format-{FORMAT}" / "index"
    assert declared(tmp_path / "index") == declared(present)
    assert [path.name for path in files(tmp_path / "index")] == [path.name for path in files(present)]

    def counts(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in commit.items() if name != "made"} for commit in history]

    assert counts(made["history"]) == counts(kept["history"])


def test_all_that_was_put_is_there(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = kept
    with Index.open(folder) as index:
        assert index.verify() == []
        assert documents(index) == expected["documents"]
        info = index.info()
        for name in ("documents", "vectors", "dimension", "index_key", "generation", "commit", "fresh", "dead"):
            assert getattr(info, name) == expected["info"][name]
        assert info.tuning is not None
        assert (info.tuning.queries, info.tuning.proxy) == (20, False)
        assert (index.schema.space, index.schema.model) == (expected["schema"]["space"], expected["schema"]["model"])
        assert (index.options.history, index.options.filterable) == (10, tuple(expected["options"]["filterable"]))
        assert [commit.kind for commit in index.history()] == [commit["kind"] for commit in expected["history"]]
    with Listing(folder, vectors=True) as listing:
        for page in listing.pages():
            matrix = listing.vectors([stored.row for stored in page])
            assert matrix.tolist() == [expected["vectors"][stored.id] for stored in page]


@pytest.mark.parametrize("exact", [False, True])
def test_searches_answer_as_an_oracle(kept: tuple[Path, dict[str, Any]], exact: bool) -> None:
    folder, expected = kept
    queries = make_index.vectors(["a query", "text 3", "text 40"])
    german = {n: row for n, row in expected["vectors"].items() if '"lang":"de"' in expected["documents"][n]}
    assert 0 < len(german) < len(expected["vectors"])
    with Index.open(folder) as index:
        found = index.search(queries, 8, AnnOptions(exact=exact, ef_search=None if exact else 64))
        narrowed = index.search(queries, 8, AnnOptions(exact=exact), condition_of(parse_filter('lang = "de"')))
        for place, query in enumerate(queries):
            assert ids(index, found.rows[place]) == nearest(expected["vectors"], query, 8)
            assert ids(index, narrowed.rows[place]) == nearest(german, query, 8)


def test_evidence_is_what_was_put(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = kept
    message = "this index keeps no evidence: build it again with evidence"
    with Index.open(folder) as index:
        stored = [one for one in index.get(list(expected["documents"])) if one is not None]
        rows = [one.row for one in stored]
        if expected["schema"].get("evidence") is None:
            assert (index.info().evidence, index.schema.evidence) == (None, None)
            for ask in (lambda: index.parts(rows), lambda: index.bm25(rows, make_index.asked("text"))):
                with pytest.raises(InvalidInputError, match=message):
                    ask()
            return
        parts, starts = index.parts(rows)
        scores = index.bm25(rows, make_index.asked(make_index.ASKED))
        for place, one in enumerate(stored):
            words = json.loads(one.payload)["text"].split()
            made = [make_index.part(word) for word in words if word.isdigit()]
            assert parts[starts[place] : starts[place + 1]].tolist() == made == expected["parts"][one.id]
            assert scores[place] == pytest.approx(expected["bm25"][one.id], rel=1e-6)


def test_a_write_makes_it_the_present_format_and_reading_does_not(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = kept
    before = declared(folder)
    with Index.open(folder) as index:
        index.search(make_index.vectors(["text 3"]), 3)
        index.verify()
    assert declared(folder) == before
    with Index.open(folder) as index, index.writer() as writer:
        writer.delete(["d10"])
        writer.commit()
    present = FIXTURES / f"index-format-{FORMAT}" / "index"
    assert declared(folder) == declared(present)


def test_it_goes_on(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = kept
    with Index.open(folder) as index:
        with index.writer() as writer:
            make_index.put(writer, {"new": ("a new text", "en"), "d10": ("text 10", "en")}, index.schema)
            assert writer.commit().added == 1
        assert ids(index, index.search(make_index.vectors(["a new text"]), 1).rows[0]) == ["new"]
        index.compact()
        assert (index.info().fresh, index.info().dead, index.verify()) == (0, 0, [])
        index.rollback()
        assert documents(index) == expected["documents"]
        index.rollback()  # which brings back what was undone
        assert "new" in documents(index)
        index.rollback(4)  # to before the rollback that the kept index ends with
        assert list(documents(index)) == ["only"]
        assert index.verify() == []


def test_a_rollback_reaches_what_was_remembered(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = kept
    undoable = sum(commit["undoable"] for commit in expected["history"])
    with Index.open(folder) as index:
        index.rollback(undoable)
        assert len(index) == 40
        assert json.loads(documents(index)["d01"])["text"] == "text 1"
        assert index.verify() == []


def test_a_build_that_was_begun_then_is_resumed(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, expected = kept
    other, staged = schema_of(make_index.OTHER, expected), make_index.STAGED
    texts = [*staged, "one more"]
    with Index.create(folder, other, BuildOptions(), resume=True) as index:
        assert documents(index) == expected["documents"]
        with index.writer(replace=True) as writer:
            writer.put(Record(text, make_index.key(text, other.space), "{}") for text in texts)
            assert writer.pending_count() == 1
            make_index.stage(writer, ["one more"], other)
            writer.commit()
        assert (index.schema, len(index), index.verify()) == (other, 6, [])
        found = index.search(make_index.vectors(texts, other.dimension), 1)
        assert [ids(index, row) for row in found.rows] == [[text] for text in texts]


def test_the_trial_format_is_refused(kept: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = kept
    edit(folder, "PRAGMA user_version = 1")
    message = "has format 1, of a trial version: remove the folder and build the index again"
    with pytest.raises(IndexFolderError, match=message):
        Index.open(folder)
    with pytest.raises(IndexFolderError, match=message):
        Index.create(folder, make_index.SCHEMA, overwrite=True)
