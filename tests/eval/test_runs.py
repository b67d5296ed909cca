import gzip
from pathlib import Path

import pytest
from eval_world import ranking
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.errors import InvalidInputError
from twinbert.eval import Run, read_run, run_lines, write_run

IDS = st.text(st.characters(codec="utf-8"), min_size=1).filter(
    lambda text: text.split() == [text] and not text.startswith("\ufeff")
)
SCORES = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 0.25, -1.5])
ROWS = st.dictionaries(IDS, SCORES, min_size=1)


@given(scores=st.dictionaries(IDS, ROWS), packed=st.booleans())
@settings(max_examples=100, deadline=None)
def test_round_trip(
    scores: dict[str, dict[str, float]], packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("run") / ("run.gz" if packed else "run.trec")
    run = Run(scores)
    write_run(path, run, tag="mine")
    again = read_run(path)
    assert again == run
    assert [list(row) for row in again.values()] == [list(row) for row in run.values()]


def test_the_file_is_trec(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    write_run(path, Run({"q1": {"a": 0.5, "b": 0.5, "c": 2}, "empty": {}, "q2": {"a": -0.1}}))
    assert path.read_text() == (
        "q1 Q0 c 1 2.0 twinbert\nq1 Q0 b 2 0.5 twinbert\nq1 Q0 a 3 0.5 twinbert\nq2 Q0 a 1 -0.1 twinbert\n"
    )
    write_run(tmp_path / "run.gz", Run({"q": {"d": 1.0}}))
    assert gzip.decompress((tmp_path / "run.gz").read_bytes()) == b"q Q0 d 1 1.0 twinbert\n"


def test_reading_goes_by_score_and_not_by_rank(tmp_path: Path) -> None:
    path = tmp_path / "run.trec"
    path.write_text("q Q0 low 1 0.1 x\nq Q0 tie-a 2 0.5 x\nq Q0 tie-b 3 5e-1 x\n")
    assert list(read_run(path)["q"]) == ["tie-b", "tie-a", "low"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("q Q0 d 1 0.5\n", "1: a TREC run has `query Q0 document rank score tag` a line, not 'q Q0 d 1 0.5'"),
        ("q Q0 d 1 0.5 x\nq Q0 d 2 0.4 x\n", "2: document 'd' was given for query 'q' already: keep one"),
        ("q Q0 d 1 high x\n", "1: the score of a TREC run is a number, not 'high'"),
        ("q Q0 d 1 nan x\n", "1: the score of a TREC run is a finite number, not 'nan'"),
        ("q Q0 d 1 1e999 x\n", "1: the score of a TREC run is a finite number, not '1e999'"),
    ],
)
def test_bad_rows_are_refused_where_they_stand(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.trec"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_run(path)
    assert str(caught.value) == f"{path}:{message}"


@pytest.mark.parametrize("name", ["two words", " lead", "tab\t", "no\u00a0break", "line\u2028end", "\ufeffmark"])
def test_ids_that_the_format_cannot_hold_are_refused_before_a_file_is_there(tmp_path: Path, name: str) -> None:
    message = f"a TREC run cannot hold {name!r} (white space ends a column): use the jsonl format"
    for run, tag in [(Run({"q": {"ok": 2, name: 1}}), "x"), (Run({name: {"d": 1}}), "x"), (Run({"q": {"d": 1}}), name)]:
        with pytest.raises(InvalidInputError) as caught:
            write_run(tmp_path / "run.trec", run, tag)
        assert str(caught.value) == message
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"cannot be written \(Is a directory\): name another file"):
        write_run(tmp_path, Run({}))


def test_rankings_become_a_run_as_they_were_served() -> None:
    run = Run.from_rankings([ranking("q", [("b", 0.5), ("a", 0.5), ("c", 0.25)]), ranking("none", [])])
    assert list(run_lines(run)) == ["q Q0 b 1 0.5 twinbert", "q Q0 a 2 0.5 twinbert", "q Q0 c 3 0.25 twinbert"]
    assert run["none"] == {}


def test_rankings_that_every_tool_would_reorder_are_refused() -> None:
    message = "query 'q': hits are not in order (score, then id, both descending): sort them"
    for hits in ([("a", 0.5), ("b", 0.5)], [("a", 0.1), ("b", 0.2)], [("a", 0.5), ("a", 0.5)]):
        with pytest.raises(InvalidInputError) as caught:
            Run.from_rankings([ranking("q", hits)])
        assert str(caught.value) == message
    with pytest.raises(InvalidInputError, match="query 'q' is answered twice: give every query its own id"):
        Run.from_rankings([ranking("q", []), ranking("q", [])])


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_are_finite(score: float) -> None:
    with pytest.raises(InvalidInputError, match=f"the score of query 'q', document 'd' is {score}"):
        Run({"q": {"d": score}})
