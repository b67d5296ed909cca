"""Corpora and queries from files: what is read, and every refusal with its file, its line and its words."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.errors import DuplicateIdError, InvalidInputError
from twinbert.retrieval import CorpusOptions, Document, Query, read_documents, read_ids, read_queries

Write = Callable[[str, bytes | str], Path]
ROW = '{"_id": "a", "text": "x"}\n'


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.chdir(tmp_path)

    def written(name: str, content: bytes | str) -> Path:
        data = content.encode() if isinstance(content, str) else content
        Path(name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return Path(name)

    return written


def refusal(path: Path | str, options: CorpusOptions | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        list(read_documents([path], options))
    assert "\n" not in str(caught.value)
    return str(caught.value)


JSONL = (
    '{"_id": "1", "title": "T", "text": "one", "year": 1999, "tags": ["a", null]}\n'
    "\n"
    '{"_id": "2", "text": "two\\u2028lines"}\r\n'
    '{"_id": "3", "title": null, "text": "three"}'
)
EXPECTED = [
    Document("1", "one", "T", {"year": 1999, "tags": ["a", None]}),
    Document("2", "two\u2028lines"),
    Document("3", "three"),
]


@pytest.mark.parametrize("name", ["c.jsonl", "c.ndjson", "c.jsonl.gz", "C.JSONL", "a.b.jsonl.gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_json_lines_plain_and_gzip_with_and_without_byte_order_mark(write: Write, name: str, mark: str) -> None:
    assert list(read_documents([write(name, mark + JSONL)])) == EXPECTED


@pytest.mark.parametrize(
    ("name", "delimiter"), [("c.csv", ","), ("c.tsv", "\t"), ("c.csv.gz", ","), ("c.tsv.gz", "\t")]
)
def test_tables_have_a_header_and_string_metadata(write: Write, name: str, delimiter: str) -> None:
    rows = [["\ufeff_id", "text", "year"], ["1", '"one, ""two""\n\tthree"', "1999"], [], ["2", "four", ""]]
    path = write(name, "\r\n".join(delimiter.join(row) for row in rows) + "\r\n")
    assert list(read_documents([path])) == [
        Document("1", 'one, "two"\n\tthree', metadata={"year": "1999"}),
        Document("2", "four", metadata={"year": ""}),
    ]


def test_fields_go_by_the_names_given(write: Write) -> None:
    path = write("c.txt", '{"key": "1", "name": "T", "head": "h", "body": "b", "text": "kept"}\n')
    options = CorpusOptions(id_field="key", text_fields=("head", "body"), title_field="name", format="jsonl")
    assert list(read_documents([path], options)) == [Document("1", "h b", "T", {"text": "kept"})]
    untitled = CorpusOptions(id_field="key", text_fields=("body",), title_field=None, format="jsonl")
    assert next(read_documents([path], untitled)).metadata == {"name": "T", "head": "h", "text": "kept"}


def test_several_files_are_read_in_order_and_a_dash_is_standard_input(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"_id": "s", "text": "x"}\n{"_id": "t"}\n')))
    found = read_documents([write("b.jsonl", ROW), write("a.csv", "_id,text\n1,y\n"), "-"])
    assert [next(found).id for _ in range(3)] == ["a", "1", "s"]
    with pytest.raises(InvalidInputError, match=r"^<stdin>:2: the field 'text' is missing \(there: '_id'\)"):
        next(found)


def test_a_text_of_digits_and_a_long_field_are_fine(write: Write) -> None:
    long = "x" * 200_000
    before = csv.field_size_limit(100_000)
    assert list(read_documents([write("c.csv", f'_id,text\n1,2\n2,"{long}"\n')])) == [
        Document("1", "2"),
        Document("2", long),
    ]
    assert csv.field_size_limit(before) == 100_000


JSON_REMEDY = "one whole object a line"
SURROGATE = "which UTF-8 cannot write: remove it"
NOT_FINITE = "which JSON cannot write: leave it out or use null"
QUOTES = "check the quotes; a quote inside a field is written twice"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"_id": "b" "', f"not valid JSON at column 13 (Expecting ',' delimiter): {JSON_REMEDY}"),
        ("text", f"not valid JSON at column 1 (Expecting value): {JSON_REMEDY}"),
        (ROW.strip() * 2, f"not valid JSON at column 26 (Extra data): {JSON_REMEDY}"),
        ('{"_id": "b", "text": "x", "n": NaN}', f"not valid JSON (NaN is not a JSON number): {JSON_REMEDY}"),
        ("[1]", "a JSON object is expected, not a list: one object a line"),
        ('"x"', "a JSON object is expected, not a string: one object a line"),
        ("[" * 200_000, "nested too deep for JSON: flatten it"),
        ('{"text": "x"}', "the field '_id' is missing (there: 'text'): add it, or name the field to use"),
        ("{}", "the field 'text' is missing (there: none): add it, or name the field to use"),
        ('{"_id": "b"}', "the field 'text' is missing (there: '_id'): add it, or name the field to use"),
        ('{"_id": 17, "text": "x"}', '_id must be a string, not the number 17: write "17"'),
        ('{"_id": null, "text": "x"}', "_id must be a string, not null"),
        ('{"_id": " ", "text": "x"}', "_id is empty or blank: give every document and query an id of its own"),
        ('{"_id": "b", "text": null}', "text must be a string, not null"),
        ('{"_id": "b", "text": "x", "title": 1}', "title must be a string, not a number"),
        ('{"_id": "b", "text": "x\\u0000"}', "text holds a NUL character (at character 2): remove it"),
        ('{"_id": "b", "text": "\\ud800"}', "text holds a lone surrogate (at character 1), " + SURROGATE),
        ('{"_id": "b", "text": "x", "n": 1e999}', "metadata['n'] is inf, " + NOT_FINITE),
        ('{"_id": "b", "text": "x\0"}', "holds a NUL byte: save the file as UTF-8 text"),
        (b'{"_id": "b", "text": "\xe9"}', "not UTF-8 (byte 0xe9 at byte 23): save the file as UTF-8"),
        (ROW, "id 'a' stands already at c.jsonl:1: every id once"),
    ],
)
@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_a_bad_json_row_is_refused_at_its_line(write: Write, name: str, row: str | bytes, message: str) -> None:
    data = row.encode() if isinstance(row, str) else row
    path = write(name, ROW.encode() + b"\n" + data + b"\n" + b'{"_id": "z", "text": "z"}\n')
    assert refusal(path) == f"{name}:3: {message}".replace("at c.jsonl:1", f"at {name}:1")


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("", 1, "no header: the first line must name the columns"),
        ("_id,,text\n", 1, "the header has a column without a name: name every column"),
        ("_id,text,_id\n", 1, "the header names the column '_id' twice: rename one"),
        ("id,text\n1,x\n", 2, "the field '_id' is missing (there: 'id', 'text'): add it, or name the field to use"),
        ("_id,text\n1,x\n2,a,b\n", 3, "3 fields where the header has 2: quote a field that holds the delimiter"),
        ('_id,text\n1,"x\ny\nz"\n2\n', 5, "1 fields where the header has 2: quote a field that holds the delimiter"),
        (
            '_id,text\n1,"x\n\ny"\n\n,"a\nb"\n',
            6,
            "_id is empty or blank: give every document and query an id of its own",
        ),
        ('_id,text\n1,x\n2,"open\n3,y\n', 3, "not a valid row (unexpected end of data): " + QUOTES),
        ('_id,text\n1,"x"y\n', 2, "not a valid row (',' expected after '\"'): " + QUOTES),
        ('_id,text\n1,"x\ny\0"\n', 3, "holds a NUL byte: save the file as UTF-8 text"),
    ],
)
def test_a_bad_table_is_refused_at_the_line_where_its_row_begins(
    write: Write, table: str, line: int, message: str
) -> None:
    assert refusal(write("c.csv", table)) == f"c.csv:{line}: {message}"


def test_duplicate_ids_name_both_places(write: Write) -> None:
    first, second = write("one.jsonl", "\n" + ROW), write("two.csv", '_id,text\nb,"x\ny"\na,z\n')
    with pytest.raises(DuplicateIdError) as caught:
        list(read_documents([first, second]))
    assert str(caught.value) == "two.csv:4: id 'a' stands already at one.jsonl:2: every id once"


def test_damaged_gzip_is_refused_at_the_line_not_reached(write: Write) -> None:
    lines = "".join(json.dumps({"_id": str(n), "text": f"text {n * 7919}"}) + "\n" for n in range(2000))
    whole = gzip.compress(lines.encode())
    Path("cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    message = refusal("cut.jsonl.gz")
    assert message.endswith("make or fetch the file anew")
    line = int(message.split(":")[1])
    assert 500 < line < 1500
    Path("plain.jsonl.gz").write_bytes(ROW.encode())
    expected = (
        "plain.jsonl.gz:1: the gzip data is cut or damaged (Not a gzipped file (b'{\"')): make or fetch the file anew"
    )
    assert refusal("plain.jsonl.gz") == expected


def test_paths_are_looked_at_before_any_row(write: Write) -> None:
    write("c.txt", ROW)
    Path("folder.jsonl").mkdir()
    for path, message in {
        "missing.jsonl": "no such file: check the path",
        "folder.jsonl": "this is a folder: name the files in it",
        "c.txt": "the suffix does not tell the format: use .jsonl, .csv or .tsv, each also with .gz, "
        "or name the format",
    }.items():
        with pytest.raises(InvalidInputError) as caught:
            read_documents([path])
        assert str(caught.value) == f"{path}: {message}"
    with pytest.raises(InvalidInputError, match=r"^paths must be a list of paths, not one: use \['c.txt'\]$"):
        read_documents("c.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_fields": ()}, "text_fields must name at least one field, as a tuple"),
        ({"text_fields": "text"}, "text_fields must name at least one field, as a tuple"),
        ({"text_fields": ("_id",)}, "one field is named twice among id, text and title: name each once"),
    ],
)
def test_corpus_options_that_contradict_themselves_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        CorpusOptions(**options)
    assert str(caught.value) == message


def test_queries_are_read_and_other_fields_left(write: Write) -> None:
    path = write("q.jsonl", '{"_id": "1", "text": "what?", "metadata": {}}\n{"_id": "2", "text": "who?"}\n')
    assert read_queries(path) == [Query("1", "what?"), Query("2", "who?")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"_id": "1", "text": "again"}', "id '1' stands already at q.jsonl:1: every id once"),
        ('{"_id": "2", "text": " "}', "query is empty or blank: write what to search for"),
        (
            '{"_id": "2", "query": "x"}',
            "the field 'text' is missing (there: '_id', 'query'): add it, or name the field to use",
        ),
        ('{"_id": 2, "text": "x"}', '_id must be a string, not the number 2: write "2"'),
    ],
)
def test_a_bad_query_is_refused_at_its_line(write: Write, row: str, message: str) -> None:
    path = write("q.jsonl", '{"_id": "1", "text": "what?"}\n' + row)
    with pytest.raises(InvalidInputError) as caught:
        read_queries(path)
    assert str(caught.value) == f"q.jsonl:2: {message}"


STORABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
WORDS = STORABLE.filter(str.strip)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | STORABLE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STORABLE, inner, max_size=3),
    max_leaves=8,
)
KEYS = STORABLE.filter(lambda key: key not in ("_id", "text", "title"))


def corpora(metadata: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[Document]]:
    document = st.builds(Document, id=WORDS, text=STORABLE, title=STORABLE, metadata=metadata)
    return st.lists(document, max_size=5, unique_by=lambda document: document.id)


@given(corpora(st.dictionaries(KEYS, JSON, max_size=3)), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_documents_come_back_from_json_lines(documents: list[Document], ascii_only: bool) -> None:
    rows = [{"_id": d.id, "text": d.text, "title": d.title, **d.metadata} for d in documents]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "c.jsonl")
        path.write_bytes("".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows).encode())
        assert list(read_documents([path])) == documents


@given(
    corpora(st.fixed_dictionaries({"note": STORABLE})), st.sampled_from([("c.csv", "excel"), ("c.tsv", "excel-tab")])
)
@settings(max_examples=100, deadline=None)
def test_any_documents_come_back_from_tables(documents: list[Document], kind: tuple[str, str]) -> None:
    name, dialect = kind
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, dialect)
            writer.writerow(["note", "_id", "title", "text"])
            writer.writerows([d.metadata["note"], d.id, d.title, d.text] for d in documents)
        assert list(read_documents([path])) == documents


@pytest.mark.parametrize("name", ["gone.txt", "gone", "gone.txt.gz"])
def test_ids_are_read_as_they_stand(write: Write, name: str) -> None:
    content = "\ufeff a \r\n\n\t\nb\u2028c\u0085\x0bd\r\n\ufeffe"
    assert read_ids(write(name, content)) == [" a ", "b\u2028c\u0085\x0bd", "\ufeffe"]


def test_ids_that_come_twice_are_refused(write: Write) -> None:
    with pytest.raises(DuplicateIdError, match=r"^gone:3: id 'a' stands already at gone:1: every id once$"):
        read_ids(write("gone", "a\n\na\r\n"))
