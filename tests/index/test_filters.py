"""Conditions in the index: only what matches is found, at one commit, through every change; kept columns are used."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import apsw
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_world import SCHEMA, key, named, vector, vectors
from twinbert.errors import IndexFolderError, InvalidInputError
from twinbert.index import (
    BuildOptions,
    Condition,
    Index,
    Record,
    entries_at,
    kind_at,
    value_at,
)
from twinbert.index.columns import keep_columns

COLOUR, SIZE, TAGS = '$."colour"', '$."size"', '$."tags"'
RED = Condition(f"{value_at(COLOUR)} = ?", ("red",))
SMALL = Condition(f"{value_at(SIZE)} < ?", (3,))
Facts = Mapping[str, object]


def put(index: Index, documents: Mapping[str, tuple[str, Facts]], delete: tuple[str, ...] = (), **how: bool) -> None:
    """Documents as id: (what the vector is made of, payload)."""
    with index.writer(replace=how.pop("replace", False)) as writer:
        writer.put(Record(name, key(text), json.dumps(facts)) for name, (text, facts) in documents.items())
        writer.delete(delete)
        texts = sorted({text for text, _ in documents.values()})
        if texts:
            writer.put_vectors([key(text) for text in texts], vectors(texts))
        writer.commit(**how)


def build(path: Path, documents: Mapping[str, tuple[str, Facts]], options: BuildOptions | None = None) -> Index:
    index = Index.create(path, SCHEMA, options)
    put(index, documents, replace=True)
    return index


def expected(
    documents: Mapping[str, tuple[str, Facts]], query: str, k: int, matches: Callable[[Facts], bool]
) -> list[tuple[str, float]]:
    """The oracle: leave out what does not match, score the rest in double precision, sort, cut."""
    wanted = vector(query).astype(np.float64)
    scored = [
        (float(np.float32(vector(text).astype(np.float64) @ wanted)), name)
        for name, (text, facts) in documents.items()
        if matches(facts)
    ]
    return [(name, score) for score, name in sorted(scored, reverse=True)[:k]]


def is_red(facts: Facts) -> bool:
    return facts.get("colour") == "red"


def ask(index: Index, query: str, k: int, where: Condition | None) -> list[tuple[str, float]]:
    return named(index, index.search(vectors([query]), k, where=where))


FRUIT: dict[str, tuple[str, Facts]] = {
    "a": ("apple", {"colour": "red", "size": 3}),
    "b": ("pear", {"colour": "green", "size": 3}),
    "c": ("cherry", {"colour": "red", "size": 1}),
    "d": ("apple", {"colour": "green", "size": 2}),
    "e": ("plum", {}),
}

facts = st.fixed_dictionaries({}, optional={"colour": st.sampled_from(["red", "green"]), "size": st.integers(0, 5)})
content = st.tuples(st.sampled_from("pqrst"), facts)
changes = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdefg"), content, max_size=4),
        st.sets(st.sampled_from("hijklmn"), max_size=3),
        st.booleans(),
    ),
    max_size=4,
)


@given(first=st.dictionaries(st.sampled_from("abcdefghijkl"), content, max_size=10), later=changes)
@settings(max_examples=25, deadline=None)
def test_only_what_matches_is_found_through_all_changes(
    tmp_path_factory: pytest.TempPathFactory, first: dict[str, tuple[str, Facts]], later: list[tuple]
) -> None:
    path = tmp_path_factory.mktemp("index") / "x"
    options = BuildOptions(filterable=(COLOUR,))
    documents = dict(first)
    with build(path, first, options) as index, Index.open(path) as other:
        for more, gone, compact in [({}, set(), False), *later]:
            put(index, more, tuple(gone), compact=compact)
            documents |= more
            documents = {name: entry for name, entry in documents.items() if name not in gone}
            for reader in (index, other):
                assert ask(reader, "q", 4, RED) == expected(documents, "q", 4, is_red)
                small = expected(documents, "r", 20, lambda facts: facts.get("size", 9) < 3)  # type: ignore[operator]
                assert ask(reader, "r", 20, SMALL) == small
        with Index.open(path) as again:
            assert ask(again, "q", 4, RED) == expected(documents, "q", 4, is_red)
            assert again.verify() == []


def test_documents_that_share_a_vector_are_told_apart(tmp_path: Path) -> None:
    with build(tmp_path / "x", FRUIT) as index:
        assert [name for name, _ in ask(index, "apple", 5, RED)] == ["a", "c"]
        put(index, {"f": ("apple", {"colour": "red"}), "g": ("apple", {"colour": "blue"})})
        assert [name for name, _ in ask(index, "apple", 5, RED)] == ["f", "a", "c"]
        assert ask(index, "apple", 5, Condition(f"{value_at(COLOUR)} = ?", ("violet",))) == []
        put(index, {}, delete=("a", "f"))
        assert [name for name, _ in ask(index, "apple", 5, RED)] == ["c"]
        assert [name for name, _ in ask(index, "apple", 1, None)] == ["g"]


def test_conditions_follow_what_is_undone_and_synced(tmp_path: Path) -> None:
    with build(tmp_path / "x", FRUIT, BuildOptions(filterable=(COLOUR,))) as index:
        put(index, {"b": ("pear", {"colour": "red"})}, delete=("a",), compact=True)
        assert [name for name, _ in ask(index, "pear", 5, RED)] == ["b", "c"]
        index.rollback()
        assert ask(index, "pear", 5, RED) == expected(FRUIT, "pear", 5, is_red)
        new = Index.create(tmp_path / "x", SCHEMA, BuildOptions(filterable=(TAGS,)), overwrite=True)
        put(new, {"z": ("fig", {"colour": "red"})}, replace=True)
        assert [name for name, _ in ask(index, "pear", 5, RED)] == ["z"]
        index.rollback()
        assert ask(index, "pear", 5, RED) == expected(FRUIT, "pear", 5, is_red)
        assert (columns(index), index.options.filterable) == (1, (COLOUR,))
        assert "USING COVERING INDEX filter_" in plan(index, KINDS[0])


def test_a_condition_is_asked_once_for_each_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    other = Condition(f"({RED.sql}) AND ? = 1", ("red", 1))
    with build(tmp_path / "x", FRUIT) as index:
        original = index._selections._ask
        monkeypatch.setattr(index._selections, "_ask", lambda *given: asked.append(given[1].sql) or original(*given))
        for _ in range(3):
            ask(index, "apple", 5, RED)
            ask(index, "pear", 2, RED)
        assert len(asked) == 1
        ask(index, "apple", 5, other)
        assert len(asked) == 2
        put(index, {"f": ("fig", {"colour": "red"})})
        assert [name for name, _ in ask(index, "fig", 1, RED)] == ["f"]
        assert len(asked) == 3


def test_little_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with build(tmp_path / "x", FRUIT) as index:
        for limit, kept in (("KEPT", 3), ("KEPT_BYTES", 1)):
            monkeypatch.setattr(f"twinbert.index.filtering.{limit}", kept)
            for size in range(6):
                ask(index, "apple", 5, Condition(f"{value_at(SIZE)} > ?", (size,)))
            assert len(index._selections._kept) == kept


WRITER = """
import json, sys
from twinbert.index import Index
sys.path.insert(0, sys.argv[2])
from test_filters import put
index = Index.open(sys.argv[1])
for turn in range(60):
    names = [f"{place:02d}" for place in range(40)]
    colours = {name: "red" if (place + turn) % 4 == 0 else "green" for place, name in enumerate(names)}
    put(index, {name: (name, {"colour": colours[name], "turn": turn}) for name in names}, compact=turn % 20 == 19)
"""


def test_matches_and_vectors_are_of_one_commit(tmp_path: Path) -> None:
    """At every commit, the ten red ones are all of one turn; a mixture would be of two, or not ten."""
    colours = ["green" if place % 4 else "red" for place in range(40)]
    names = {f"{place:02d}": (f"{place:02d}", {"colour": colour, "turn": 0}) for place, colour in enumerate(colours)}
    with build(tmp_path / "x", names) as index:
        command = [sys.executable, "-c", WRITER, str(tmp_path / "x"), str(Path(__file__).parent)]
        with subprocess.Popen(command) as writer:
            seen = set()
            while writer.poll() is None:
                found = index.search(vectors(["07"]), 40, where=RED).rows[0]
                stored = [(hit.id, json.loads(hit.payload)) for hit in index.stored(found[found >= 0])]
                turns = {facts["turn"] for _, facts in stored}
                assert len(stored) == 10
                assert len(turns) == 1
                assert {facts["colour"] for _, facts in stored} == {"red"}
                assert sorted({int(name) % 4 for name, _ in stored}) == [-turns.copy().pop() % 4]
                seen |= turns
            assert writer.returncode == 0
        assert len(seen) > 5


def plan(index: Index, where: Condition) -> str:
    store = apsw.Connection(str(index.path / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    query = f"EXPLAIN QUERY PLAN SELECT group_concat(row) FROM documents WHERE died IS NULL AND ({where.sql})"
    return " ".join(row[3] for row in store.execute(query, where.values))


KINDS = [
    Condition(f"{kind_at(COLOUR)} = 'text' AND {value_at(COLOUR)} = ?", ("red",)),
    Condition(f"{kind_at(COLOUR)} = 'text' AND {value_at(COLOUR)} >= ? AND {value_at(COLOUR)} < ?", ("r", "s")),
    Condition(f"{kind_at(COLOUR)} IN ('integer', 'real') AND {value_at(COLOUR)} < ?", (3,)),
    Condition(f"{kind_at(COLOUR)} = 'null'"),
    Condition(f"{kind_at(COLOUR)} = 'text' AND {value_at(COLOUR)} IN (SELECT value FROM json_each(?))", ('["red"]',)),
]


@pytest.mark.parametrize("where", KINDS, ids=lambda where: where.sql[-30:])
def test_a_kept_column_is_used(tmp_path: Path, where: Condition) -> None:
    with build(tmp_path / "x", FRUIT, BuildOptions(filterable=(COLOUR, SIZE))) as index:
        assert "SEARCH documents USING COVERING INDEX filter_" in plan(index, where)
        both = Condition(f"({where.sql}) OR ({kind_at(SIZE)} = 'integer' AND {value_at(SIZE)} = 1)", where.values)
        assert "MULTI-INDEX OR" in plan(index, both)
    with build(tmp_path / "y", FRUIT) as index:
        assert "filter_" not in plan(index, where)


def columns(index: Index) -> int:
    store = apsw.Connection(str(index.path / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY)
    return int(store.execute("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'filter_%'").get)


def test_columns_are_those_of_the_options_of_the_last_build(tmp_path: Path) -> None:
    with build(tmp_path / "x", FRUIT, BuildOptions(filterable=(COLOUR, SIZE, COLOUR))) as index:
        assert columns(index) == 2
        put(index, {"f": ("fig", {"colour": "red"})}, compact=True)
        assert (columns(index), index.options.filterable) == (2, (COLOUR, SIZE, COLOUR))
        new = Index.create(tmp_path / "x", SCHEMA, BuildOptions(filterable=(TAGS,)), overwrite=True)
        assert (columns(index), index.options.filterable) == (2, (COLOUR, SIZE, COLOUR))
        put(new, FRUIT, replace=True)
        assert (columns(index), index.options.filterable) == (1, (TAGS,))
        assert [name for name, _ in ask(index, "apple", 5, RED)] == ["a", "c"]


def test_entries_of_arrays_can_be_asked_for(tmp_path: Path) -> None:
    tagged = {"a": ("apple", {"tags": ["x", 1]}), "b": ("pear", {"tags": "x"}), "c": ("plum", {})}
    exists = f"EXISTS (SELECT 1 FROM {entries_at(TAGS)} AS entry WHERE entry.value = ?)"
    where = Condition(f"{kind_at(TAGS)} = 'array' AND {exists}", ("x",))
    with build(tmp_path / "x", tagged) as index:
        assert [name for name, _ in ask(index, "apple", 3, where)] == ["a"]


def test_what_cannot_be_asked_is_refused_and_nothing_else_changes(tmp_path: Path) -> None:
    with build(tmp_path / "x", FRUIT) as index:
        with pytest.raises(InvalidInputError, match="cannot be asked of this index's payloads: no such column"):
            ask(index, "apple", 1, Condition("nonsense = 1"))
        with index.writer() as writer:
            writer.put([Record("odd", key("odd"), "no JSON")])
            writer.put_vectors([key("odd")], vectors(["odd"]))
            writer.commit()
        with pytest.raises(InvalidInputError, match="cannot be asked of this index's payloads: malformed JSON"):
            ask(index, "apple", 1, RED)
        assert ask(index, "odd", 1, None)[0][0] == "odd"
    with pytest.raises(InvalidInputError, match="was closed here"):
        index.search(vectors(["apple"]), 1, where=RED)


def test_payloads_that_are_not_json_have_no_columns(tmp_path: Path) -> None:
    index = Index.create(tmp_path / "x", SCHEMA, BuildOptions(filterable=(COLOUR,)))
    with index.writer(replace=True) as writer:
        writer.put([Record("odd", key("odd"), "no JSON")])
        writer.put_vectors([key("odd")], vectors(["odd"]))
        with pytest.raises(InvalidInputError, match="cannot be kept: a payload is not JSON"):
            writer.commit()


def test_paths_of_options_are_checked() -> None:
    with pytest.raises(InvalidInputError, match="leads to no place in a payload"):
        BuildOptions(filterable=("colour",))
    with pytest.raises(InvalidInputError, match="leads to no place in a payload"):
        keep_columns(apsw.Connection(":memory:"), ["$.a'"])


def test_an_index_swapped_under_a_reader_is_noticed(tmp_path: Path) -> None:
    with build(tmp_path / "x", FRUIT) as index, build(tmp_path / "y", {"z": ("fig", {})}):
        assert len(ask(index, "apple", 9, None)) == 5
        (tmp_path / "x").rename(tmp_path / "old")
        (tmp_path / "y").rename(tmp_path / "x")
        with pytest.raises(IndexFolderError, match="was replaced by another index: open it again"):
            ask(index, "apple", 1, RED)
