"""A BEIR folder read as pairs, and its faults by their place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from twinbert.errors import InvalidInputError
from twinbert.eval import JudgedText, read_judged_texts

CORPUS = (
    '{"_id": "d1", "title": "Open", "text": "a file"}\n{"_id": "d2", "text": "a socket"}\n{"_id": "d3", "text": ""}\n'
)
QUERIES = '{"_id": "q1", "text": "how to open"}\n{"_id": "q2", "text": "how to listen"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq2\td2\t2\nq1\td3\t0\nq1\td1\t1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(CORPUS.encode()))
    (tmp_path / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text(QRELS)
    return tmp_path


def test_every_judgement_is_given_beside_its_texts(folder: Path) -> None:
    assert list(read_judged_texts(folder, "dev")) == [
        JudgedText("q2", "d2", "how to listen", "a socket", 2),
        JudgedText("q1", "d3", "how to open", "", 0),
        JudgedText("q1", "d1", "how to open", "Open a file", 1),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q9\td1\t1\n", "dev.tsv: query 'q9' is judged but not in the folder"),
        ("q1\td9\t1\n", "dev.tsv: document 'd9' is judged but not in the folder"),
        ("q1\td2\tyes\n", "dev.tsv:5: "),
    ],
)
def test_judgements_that_cannot_be_taken_are_named(line: str, message: str, folder: Path) -> None:
    with (folder / "qrels" / "dev.tsv").open("a") as file:
        file.write(line)
    with pytest.raises(InvalidInputError) as caught:
        list(read_judged_texts(folder, "dev"))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["corpus.jsonl.gz", "queries.jsonl", "qrels/dev.tsv"])
def test_a_folder_without_one_of_the_files_is_refused(name: str, folder: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(InvalidInputError, match=f"no {Path(name).name.removesuffix('.gz')} here"):
        list(read_judged_texts(folder, "dev"))
