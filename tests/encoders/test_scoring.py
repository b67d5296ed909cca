"""Scoring a file of pairs: each once, in order, whatever dies meanwhile."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.scoring import ScoreReport, score_pairs
from twinbert.errors import InvalidInputError

WORDS = ["open", "close", "read", "write", "file", "stream", "socket", "a", "the", "how", "do", "i"]
WINDOW = 8
DIES = """
import os, signal, sys
from pathlib import Path
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.scoring import score_pairs
def die(done, total):
    if done >= 24:
        os.kill(os.getpid(), signal.SIGKILL)
source, target, teacher = map(Path, sys.argv[1:])
score_pairs(source, target, CrossEncoder.load(teacher), window=8, progress=die)
"""


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> CrossEncoder:
    return CrossEncoder.load(tiny_teacher, local_files_only=True)


@pytest.fixture
def rows() -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(60)]
    return [{"n": n, "query": texts[n], "document": texts[(n * 7) % 60], "score": None} for n in range(59)]


@pytest.fixture
def source(tmp_path: Path, rows: list[dict[str, object]]) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def expected(tmp_path: Path, source: Path, teacher: CrossEncoder) -> bytes:
    """What an uninterrupted run writes."""
    score_pairs(source, tmp_path / "whole.jsonl", teacher, window=WINDOW)
    return (tmp_path / "whole.jsonl").read_bytes()


def test_every_pair_is_scored_in_order_with_all_its_fields(
    rows: list[dict[str, object]], expected: bytes, teacher: CrossEncoder, tmp_path: Path
) -> None:
    found = [json.loads(line) for line in expected.splitlines()]
    alone = [teacher.score([str(row["query"])], [str(row["document"])])[0] for row in rows]
    assert [{**row, "score": None} for row in found] == rows
    np.testing.assert_allclose([row["score"] for row in found], alone, rtol=0, atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "whole.jsonl"]


def test_every_format_gives_the_same_scores(
    source: Path, expected: bytes, teacher: CrossEncoder, tmp_path: Path
) -> None:
    packed = tmp_path / "pairs.jsonl.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    score_pairs(packed, tmp_path / "packed.jsonl", teacher, window=WINDOW)
    assert (tmp_path / "packed.jsonl").read_bytes() == expected
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.Table.from_pylist([json.loads(line) for line in source.read_text().splitlines()])
    parquet.write_table(table, tmp_path / "pairs.parquet")
    score_pairs(tmp_path / "pairs.parquet", tmp_path / "columns.jsonl", teacher, window=WINDOW)
    assert (tmp_path / "columns.jsonl").read_bytes() == expected


def test_killed_in_the_middle_it_goes_on_to_the_same_bytes(
    source: Path, expected: bytes, teacher: CrossEncoder, tiny_teacher: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    done = subprocess.run([sys.executable, "-c", DIES, source, target, tiny_teacher], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    told: list[tuple[int, int]] = []
    report = score_pairs(
        source, target, teacher, window=WINDOW, resume=True, progress=lambda done, total: told.append((done, total))
    )
    assert report == ScoreReport(pairs=59, scored=35)
    assert told == [(24, 59), (32, 59), (40, 59), (48, 59), (56, 59), (59, 59)]
    assert target.read_bytes() == expected


@pytest.mark.parametrize("cut", [0, 1, 100, 1_500, 3_000, -1, -2, None])
def test_wherever_the_output_was_torn_it_ends_the_same(
    cut: int | None, source: Path, expected: bytes, teacher: CrossEncoder, tmp_path: Path
) -> None:
    partial = stopped(source, teacher, tmp_path / "out.jsonl")
    partial.write_bytes(expected[:cut])
    score_pairs(source, tmp_path / "out.jsonl", teacher, window=WINDOW, resume=True)
    assert (tmp_path / "out.jsonl").read_bytes() == expected


def test_going_on_with_something_else_is_refused(
    source: Path, teacher: CrossEncoder, tiny_teacher: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out.jsonl"
    partial = stopped(source, teacher, target)
    before = partial.read_bytes()
    with pytest.raises(InvalidInputError, match="go on with it"):
        score_pairs(source, target, teacher, window=WINDOW)
    with pytest.raises(InvalidInputError, match="the stopped run had another teacher"):
        score_pairs(source, target, CrossEncoder.load(tiny_teacher, 20), window=WINDOW, resume=True)
    lines = source.read_text().splitlines(keepends=True)
    for changed in ([*lines[:4], lines[5], *lines[5:]], lines[:4]):
        source.write_text("".join(changed))
        with pytest.raises(InvalidInputError, match="out.jsonl.partial:5: the stopped run scored another pair here"):
            score_pairs(source, target, teacher, window=WINDOW, resume=True)
    assert partial.read_bytes() == before


def test_bad_input_is_found_before_anything_is_scored(source: Path, teacher: CrossEncoder, tmp_path: Path) -> None:
    with source.open("a") as file:
        file.write("{oops\n")
    with pytest.raises(InvalidInputError, match="pairs.jsonl:60: not a JSON object"):
        score_pairs(source, tmp_path / "out.jsonl", teacher)
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.jsonl"]


def test_an_output_that_is_there_is_left_alone(source: Path, teacher: CrossEncoder, tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").write_text("mine")
    with pytest.raises(InvalidInputError, match="out.jsonl: this file is there already"):
        score_pairs(source, tmp_path / "out.jsonl", teacher, resume=True)
    assert (tmp_path / "out.jsonl").read_text() == "mine"


def stopped(source: Path, teacher: CrossEncoder, target: Path) -> Path:
    """The unfinished output of a run that was interrupted after two windows."""

    def stop(done: int, total: int) -> None:
        if done == 2 * WINDOW:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_pairs(source, target, teacher, window=WINDOW, progress=stop)
    return target.with_name(target.name + ".partial")
