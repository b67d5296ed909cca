"""Files of pairs: every format gives the same pairs, and every fault is named by its line."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from twinbert.encoders.training.pair_files import JudgedPair, read_judged_pairs, read_pair_rows
from twinbert.errors import InvalidInputError, MissingExtraError

JSONL = (
    '{"query": "open a file", "document": "open(file)", "label": 1, "id": 7}\n'
    "\n"
    '{"query": "Größe", "document": "", "label": 0.25, "id": 8}\n'
)
TSV = 'id\tquery\tdocument\tlabel\n7\topen a file\topen(file)\t1\n8\tGröße\t""\t0.25\n'
PAIRS = [JudgedPair("open a file", "open(file)", 1.0), JudgedPair("Größe", "", 0.25)]


def written(path: Path, text: str | bytes) -> Path:
    data = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.jsonl", JSONL), ("a.ndjson", "\ufeff" + JSONL), ("a.jsonl.gz", JSONL), ("a.tsv", TSV), ("a.b.TSV.gz", TSV)],
)
def test_every_format_gives_the_same_pairs(name: str, text: str, tmp_path: Path) -> None:
    assert read_judged_pairs(written(tmp_path / name, text)) == PAIRS


def test_parquet_gives_the_same_pairs(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"document": ["open(file)", ""], "query": ["open a file", "Größe"], "label": [1.0, 0.25], "id": [7, 8]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet", row_group_size=1)
    assert read_judged_pairs(tmp_path / "a.parquet") == PAIRS
    assert [row.fields["id"] for row in read_pair_rows(tmp_path / "a.parquet")] == [7, 8]


def test_other_fields_and_places_are_kept(tmp_path: Path) -> None:
    first, second = read_pair_rows(written(tmp_path / "a.jsonl", JSONL))
    assert (first.place, second.place) == (1, 3)
    assert second.fields == {"query": "Größe", "document": "", "label": 0.25, "id": 8}
    _, row = read_pair_rows(written(tmp_path / "a.tsv", TSV))
    assert (row.place, row.fields) == (3, {"id": "8", "query": "Größe", "document": "", "label": 0.25})


def test_a_quoted_field_may_run_over_lines(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", 'query\tdocument\na\t"b\tc\nd ""e"""\nf\tg\n')
    assert [(row.place, row.query, row.document) for row in read_pair_rows(path)] == [
        (2, "a", 'b\tc\nd "e"'),
        (4, "f", "g"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"query": "a", "document": "b"}\n{oops\n', "a.jsonl:2: not a JSON object"),
        ("a.jsonl", "[1]\n", "a.jsonl:1: not a JSON object"),
        ("a.jsonl", '{"query": "a"}\n', "a.jsonl:1: the field 'document' is missing or no string"),
        ("a.jsonl", '{"query": 1, "document": "b"}\n', "a.jsonl:1: the field 'query' is missing or no string"),
        ("a.jsonl", b'{"query": "a", "document": "\xff"}\n', "a.jsonl:1: not UTF-8 (byte 0xff)"),
        ("a.tsv", "", "a.tsv:1: the first line must name the columns"),
        ("a.tsv", "query\tlabel\na\t1\n", "a.tsv:1: the first line must name the columns"),
        ("a.tsv", "query\tdocument\na\n", "a.tsv:2: 1 fields where the header has 2"),
        ("a.tsv", 'query\tdocument\na\t"b\n', "a.tsv:2: not a valid row"),
        ("a.tsv", "query\tdocument\tlabel\na\tb\tyes\n", "a.tsv:2: label 'yes' is not a number"),
        ("a.txt", JSONL, "a.txt: the suffix does not tell the format"),
        ("a.parquet.gz", JSONL, "a.parquet.gz: the suffix does not tell the format"),
    ],
)
def test_bad_rows_are_named_by_their_line(name: str, text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as caught:
        list(read_pair_rows(written(tmp_path / name, text)))
    assert message in str(caught.value)


@pytest.mark.parametrize("label", ['"1"', "2", "-0.5", "null"])
def test_labels_that_are_no_probabilities_are_named(label: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", f'\n{{"query": "a", "document": "b", "label": {label}}}\n')
    with pytest.raises(InvalidInputError, match="a.jsonl:2: label"):
        read_judged_pairs(path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    cut = tmp_path / "a.jsonl.gz"
    cut.write_bytes(gzip.compress(JSONL.encode() * 1000)[:-20])
    with pytest.raises(InvalidInputError, match="the gzip data is cut or damaged"):
        list(read_pair_rows(cut))
    with pytest.raises(InvalidInputError, match="none.jsonl: no such file"):
        read_pair_rows(tmp_path / "none.jsonl")
    pytest.importorskip("pyarrow")
    with pytest.raises(InvalidInputError, match="a.parquet:1: not Parquet that can be read"):
        list(read_pair_rows(written(tmp_path / "a.parquet", JSONL)))


def test_parquet_without_pyarrow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"twinbert\[parquet\]"):
        list(read_pair_rows(written(tmp_path / "a.parquet", "")))
