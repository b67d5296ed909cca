"""Lexical candidates are those that brute force ranks highest; the table behind them is checked and mended."""

from itertools import islice
from pathlib import Path

import apsw
import numpy as np
import pytest
from evidence_world import SCHEMA, asked, best, build, change, check_found, encode_pending, found
from index_world import build as build_plain
from index_world import contents, records
from twinbert.errors import IndexDamagedError, InvalidInputError
from twinbert.index import BuildOptions, Condition, Index, lexical

WORDS = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak", "pine", "yew"]
QUERY = {"yew": 1.0, "oak": 1.0, "ash": 3.0, "nowhere": 1.0}


def drawn(seed: int, count: int) -> dict[str, str]:
    """Documents of few words, the first ones common, the last ones rare."""
    generator = np.random.default_rng(seed)
    weights = 1 / np.arange(1, len(WORDS) + 1) ** 1.5
    texts = [generator.choice(WORDS, size, p=weights / weights.sum()) for size in generator.integers(1, 9, count)]
    return {f"d{number:04}": " ".join(text) for number, text in enumerate(texts)}


@pytest.fixture
def many(tmp_path: Path) -> Index:
    """A segment with dead documents, and a tail."""
    index = build(tmp_path / "x", drawn(0, 600))
    change(index, {"e1": "yew yew oak", "e2": "ash", "d0007": "yew"}, islice(drawn(0, 600), 10, 200))
    return index


@pytest.mark.parametrize("k", [1, 7, 1_000])
def test_the_best_by_brute_force_are_found(many: Index, k: int) -> None:
    with many:
        for query in (QUERY, {"ash": 1.0}, {"yew": 1.0, "elm": 0.5}, {"nowhere": 1.0}, {}):
            check_found(many, contents(many), query, k)


def test_several_queries_at_once_are_several_queries(many: Index) -> None:
    with many:
        queries = [asked(QUERY), asked({"nowhere": 1.0}), asked({"fir": 1.0})]
        together = many.search_terms(queries, 5)
        alone = [many.search_terms([query], 5) for query in queries]
        assert together.rows.tolist() == [one.rows[0].tolist() for one in alone]
        assert together.scores.tolist() == [one.scores[0].tolist() for one in alone]
        assert (together.rows[1].tolist(), together.scores[1].tolist()) == ([-1] * 5, [-np.inf] * 5)
        assert many.search_terms([], 5).rows.shape == (0, 5)


def test_only_what_a_filter_lets_through_is_found_by_the_scores_of_all(many: Index) -> None:
    with many:
        where = Condition("id < ?", ("d03",))
        wanted = [one for one in best(contents(many), QUERY, 1_000) if one[0] < "d03"]
        assert [name for name, _ in found(many, QUERY, 9, where)] == [name for name, _ in wanted[:9]]


def test_common_terms_are_left_out_beyond_the_budget_and_still_scored(
    many: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lexical, "BUDGET", 40)
    with many:
        documents = contents(many)
        everything = dict(best(documents, QUERY, 1_000))
        holding = {name for name, text in documents.items() if "yew" in text.split()}
        assert 0 < len(holding) <= 40
        got = found(many, QUERY, 1_000)
        assert {name for name, _ in got} == holding
        assert dict(got) == pytest.approx({name: everything[name] for name in holding}, rel=1e-5)
        check_found(many, documents, {"ash": 1.0}, 5)  # more than the budget, and the rarest there is


def test_where_very_many_match_the_likeliest_are_scored(many: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lexical, "EXACT", 100)
    monkeypatch.setattr(lexical, "FIRST", 60)
    with many:
        right = dict(best(contents(many), QUERY, 1_000))
        assert len(right) > 200
        got = found(many, QUERY, 20)
        assert dict(got) == pytest.approx({name: right[name] for name, _ in got}, rel=1e-5)
        assert len(set(list(right)[:20]) & dict(got).keys()) >= 18
        assert len(found(many, QUERY, 150)) == 150  # more than are scored otherwise
        check_found(many, contents(many), QUERY, 1_000)


def test_another_process_s_commit_is_seen_at_once(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "oak"}) as index, Index.open(tmp_path / "x") as other:
        for number in range(3):
            change(index, {f"b{number}": "oak yew"}, compact=number == 1)
            check_found(other, contents(index), QUERY, 9)


def test_it_is_kept_where_the_options_say(tmp_path: Path) -> None:
    message = "not lexical: build it again with evidence and the option lexical"
    with build(tmp_path / "x", {"a": "oak"}, BuildOptions(lexical=False)) as index:
        assert (index.info().lexical, index.info().evidence) == (False, SCHEMA.evidence and SCHEMA.evidence.note)
        with pytest.raises(InvalidInputError, match=message):
            index.search_terms([asked(QUERY)], 3)
        change(index, {"b": "oak yew"})
        new = Index.create(tmp_path / "x", SCHEMA, overwrite=True)
        with new:
            change(new, {"a": "oak", "c": "elm yew"}, replace=True)
            assert new.info().lexical
            check_found(new, {"a": "oak", "c": "elm yew"}, QUERY, 9)
        index.rollback()
        with pytest.raises(InvalidInputError, match=message):
            index.search_terms([asked(QUERY)], 3)
        assert rows_of(tmp_path / "x") == []
        index.rollback()
        check_found(index, {"a": "oak", "c": "elm yew"}, QUERY, 9)
        change(index, {"b": "oak yew"})  # whose vector only undoing had kept
        check_found(index, contents(index), QUERY, 9)
        assert index.verify() == []
    with build_plain(tmp_path / "y", {"a": "oak"}) as index, pytest.raises(InvalidInputError, match=message):
        index.search_terms([asked(QUERY)], 3)


def test_less_than_one_is_not_asked_for(many: Index) -> None:
    with many, pytest.raises(InvalidInputError, match="k must be at least 1, not 0"):
        many.search_terms([asked(QUERY)], 0)


def test_a_given_up_command_leaves_no_trace(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "oak"}) as index:
        with index.writer() as writer:
            writer.put(records({"b": "yew"}, SCHEMA.space))
            encode_pending(writer)
        assert rows_of(tmp_path / "x") == [1]
        check_found(index, {"a": "oak"}, QUERY, 9)


def test_what_is_forgotten_leaves_the_table(tmp_path: Path) -> None:
    with build(tmp_path / "x", {"a": "oak", "b": "yew", "c": "elm"}) as index:
        change(index, delete=["b"])
        assert rows_of(tmp_path / "x") == [1, 2, 3]
        index.gc(0)
        assert len(rows_of(tmp_path / "x")) == 2
        assert index.verify() == []


def rows_of(folder: Path) -> list[int]:
    with apsw.Connection(str(folder / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY) as connection:
        return [row for (row,) in connection.execute("SELECT rowid FROM words ORDER BY rowid")]


def edit(folder: Path, statement: str) -> None:
    with apsw.Connection(str(folder / "store.sqlite")) as connection:
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("DELETE FROM words WHERE rowid = 2", "table words lacks 1 documents"),
        ("INSERT INTO words (words) VALUES ('delete-all')", "table words lacks 3 documents"),
        ("DELETE FROM words_data WHERE id > 10", "words"),
        ("UPDATE words_data SET block = zeroblob(length(block)) WHERE id > 10", "words"),
        ("UPDATE words_data SET block = x'00' WHERE id = 10", "words"),
        ("INSERT INTO words (rowid, terms) VALUES (99, '0000beef')", "holds other terms than documents"),
        ("INSERT INTO words (rowid, terms) VALUES (99, 'nonsense')", "table words is damaged"),
    ],
)
def test_damage_is_found_and_mended(tmp_path: Path, statement: str, message: str) -> None:
    documents = {"a": "oak", "b": "yew", "c": "elm ash"}
    build(tmp_path / "x", documents).close()
    edit(tmp_path / "x", statement)
    with Index.open(tmp_path / "x") as index:
        assert any(message in problem.message for problem in index.verify())
    Index.rebuild(tmp_path / "x")
    with Index.open(tmp_path / "x") as index:
        assert index.verify() == []
        check_found(index, documents, QUERY, 9)


def test_a_search_of_a_damaged_table_says_what_mends_it(tmp_path: Path) -> None:
    build(tmp_path / "x", {"a": "oak", "b": "yew"}).close()
    edit(tmp_path / "x", "DELETE FROM words_data WHERE id > 10")
    with Index.open(tmp_path / "x") as index, pytest.raises(IndexDamagedError, match="index rebuild makes it anew"):
        index.search_terms([asked(QUERY)], 3)
