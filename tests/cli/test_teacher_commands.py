"""From judged texts to a scored file on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="training is tested on Python 3.11")

QUERIES = '{"_id": "q1", "text": "strip blanks"}\n{"_id": "q2", "text": "read a file"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\tstrip\t2\nq1\tsqrt\t1\nq2\topen\t2\nq2\tsqrt\t0\n"


@pytest.fixture
def beir(tmp_path: Path, corpus: Path) -> Path:
    """``corpus`` with queries and judgements beside it."""
    (tmp_path / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text(QRELS)
    return tmp_path


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_mined_trained_and_scored(beir: Path, index: Path, bare_checkpoint: Path, run) -> None:
    pairs, teacher, scored = beir / "pairs.jsonl", beir / "teacher", beir / "scored.jsonl"
    options = ["--queries", beir / "queries.jsonl", "--qrels", beir / "qrels" / "train.tsv"]
    done = run("train", "mine", index, pairs, *options, "--json")
    assert (done.status, json.loads(done.out)) == (0, {"pairs": str(pairs), "judged": 4, "mined": 2, "random": 0})
    assert [row["label"] for row in lines(pairs)] == [1, 1, 0, 1, 0, 0]
    short = ["--set", "longest=16", "--set", "epochs=1", "--set", "guided_epochs=0", "--local-files-only"]
    done = run("train", "teacher", pairs, teacher, "--model", bare_checkpoint, *short, "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == {
        "teacher": str(teacher),
        "pairs": 6,
        "queries": 2,
        "held_out_queries": 0,
        "steps": 1,
    }
    done = run("train", "score", teacher, pairs, scored)
    assert (done.status, done.out, done.err) == (0, f"output  {scored}\npairs   6\nscored  6\n", "")
    assert [{**row, "score": None} for row in lines(scored)] == [{**row, "score": None} for row in lines(pairs)]
    assert all(0 < row["score"] < 1 for row in lines(scored))  # type: ignore[operator]


def test_a_beir_folder_is_taken_with_its_grades_cut(beir: Path, bare_checkpoint: Path, run) -> None:
    options = ["--model", bare_checkpoint, "--set", "longest=16", "--set", "epochs=1", "--set", "guided_epochs=0"]
    done = run("train", "teacher", beir, beir / "t", *options, "--threshold", "2", "--seed", "5", "--json")
    assert (done.status, json.loads(done.out)["pairs"]) == (0, 4)
    assert "seed = 5\n" in (beir / "t" / "recipe.toml").read_text()
    done = run("train", "teacher", beir, beir / "u", *options, "--threshold", "3")
    assert done.status == 1
    assert "these have one label" in done.err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["teacher", "pairs.jsonl", "t", "--model", "nowhere"], 1, "pairs.jsonl: no such file"),
        (["teacher", "bad.tsv", "t", "--model", "nowhere"], 1, "bad.tsv:2: "),
        (["teacher", "good.tsv", "t", "--model", "nowhere", "--local-files-only"], 1, "nowhere: "),
        (["teacher", "good.tsv", "t", "--model", "nowhere", "--set", "steps=3"], 1, "'steps' is no field"),
        (["teacher", "good.tsv", "t"], 2, "--model"),
        (["score", "nowhere", "good.tsv", "out.jsonl", "--local-files-only"], 1, "nowhere: "),
        (["score", "nowhere", "good.tsv", "out.jsonl", "--longest", "3"], 2, "--longest"),
        (["mine", "no.index", "out.jsonl", "--queries", "bad.tsv", "--qrels", "bad.tsv"], 1, "bad.tsv"),
        (["mine", "no.index", "good.tsv", "--queries", "bad.tsv", "--qrels", "bad.tsv"], 1, "there already"),
        (["mine", "no.index", "out.jsonl", "--queries", "q", "--qrels", "q", "--per-query", "0"], 1, "one negative"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str], status: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.tsv").write_text("query\tdocument\tlabel\na\n")
    Path("good.tsv").write_text("query\tdocument\tlabel\na\tb\t1\na\tc\t0\n")
    done = run("train", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert message in done.err
