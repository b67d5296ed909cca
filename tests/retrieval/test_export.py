"""What an index gives back is what was put: another index can be built from it."""

from __future__ import annotations

import gzip
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.encoders import TwinEncoder
from twinbert.errors import IndexDamagedError, InvalidInputError
from twinbert.index import BuildOptions, Index, IndexSchema, Record
from twinbert.retrieval import Document, Retriever, export, read_documents, read_ids

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
NAMES = TEXT.filter(lambda name: name not in ("_id", "title", "text"))
DOCUMENTS = st.lists(
    st.builds(Document, TEXT.filter(str.strip), TEXT, title=TEXT, metadata=st.dictionaries(NAMES, JSON, max_size=3)),
    max_size=5,
    unique_by=lambda document: document.id,
)


@given(documents=DOCUMENTS, name=st.sampled_from(["a.jsonl", "a.jsonl.gz"]))
@settings(max_examples=20, deadline=None)
def test_an_index_built_from_an_export_holds_the_same(
    starter: TwinEncoder, documents: list[Document], name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, second, corpus = Path(folder, "first"), Path(folder, "second"), Path(folder, name)
        Retriever.build(first, documents, starter).close()
        assert export(first, corpus) == len(documents)
        assert list(read_documents([corpus])) == documents
        with Retriever.build(second, read_documents([corpus]), starter) as built, Retriever.open(first, starter) as old:
            assert built.upsert(documents).unchanged == len(documents)
            assert built.search("x", 5) == old.search("x", 5)


@pytest.fixture
def folder(tmp_path: Path, documents: list[Document], starter: TwinEncoder) -> Path:
    with Retriever.build(tmp_path / "i", documents, starter, BuildOptions(vector_type="fp16")) as retriever:
        retriever.upsert([Document("new", "ride a bicycle"), Document("d1", "row a boat", "", {"n": [1, None]})])
        retriever.delete(["d3"])
    return tmp_path / "i"


def test_documents_ids_and_vectors_come_in_one_order(folder: Path, tmp_path: Path, starter: TwinEncoder) -> None:
    lines: list[str] = []
    assert export(folder, lines.append, vectors=tmp_path / "v.npy", ids=tmp_path / "v.ids.txt") == 30
    rows = [json.loads(line) for line in lines]
    ids = [row["_id"] for row in rows]
    assert ids == [*(f"d{n}" for n in range(30) if n not in (1, 3)), "new", "d1"]
    assert rows[-1] == {"_id": "d1", "title": "", "text": "row a boat", "n": [1, None]}
    assert read_ids(tmp_path / "v.ids.txt") == ids
    matrix = np.load(tmp_path / "v.npy", allow_pickle=False)
    texts = [f"{row['title']} {row['text']}".strip() for row in rows]
    assert (matrix.dtype, matrix.shape) == (np.float32, (30, 384))
    assert np.array_equal(matrix, starter.encode_documents(texts).astype(np.float16).astype(np.float32))


def test_equal_contents_make_equal_files(folder: Path, tmp_path: Path) -> None:
    export(folder, tmp_path / "a.jsonl.gz")
    export(folder, tmp_path / "b.jsonl.gz")
    export(folder, tmp_path / "c.jsonl")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == (tmp_path / "c.jsonl").read_bytes()


def test_a_file_appears_whole_or_not_at_all(folder: Path, tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.open(folder, starter) as retriever:
        retriever.upsert([Document("z", "x", metadata={"title": "mine"})])
    target = tmp_path / "out" / "a.jsonl"
    target.parent.mkdir()
    target.write_text("as it was")
    message = "document 'z' has metadata named 'title', which a corpus cannot hold: rename the field"
    with pytest.raises(InvalidInputError, match=message):
        export(folder, target, vectors=target.with_name("v.npy"), ids=target.with_name("ids.txt"))
    assert [path.name for path in target.parent.iterdir()] == ["a.jsonl"]
    assert target.read_text() == "as it was"


def test_ids_that_end_a_line_are_refused(folder: Path, tmp_path: Path, starter: TwinEncoder) -> None:
    with Retriever.open(folder, starter) as retriever:
        retriever.upsert([Document("two\nlines", "x")])
    with pytest.raises(InvalidInputError, match=r"id 'two\\nlines' ends a line"):
        export(folder, tmp_path / "a.jsonl", ids=tmp_path / "ids.txt")
    assert export(folder, tmp_path / "a.jsonl") == 31


def test_damaged_vectors_are_not_given_out(folder: Path, tmp_path: Path) -> None:
    path = next(folder.glob("segments/*/vectors.npy"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy does not match its checksum"):
        export(folder, tmp_path / "a.jsonl", vectors=tmp_path / "v.npy")
    assert export(folder, tmp_path / "a.jsonl") == 30


def test_an_index_of_own_vectors_has_no_documents(tmp_path: Path) -> None:
    with Index.create(tmp_path / "i", IndexSchema("own", 2, "mine")) as index, index.writer(replace=True) as writer:
        writer.put([Record("1", b"k" * 32, "opaque")])
        writer.put_vectors([b"k" * 32], np.array([[0.6, 0.8]], dtype=np.float32))
        writer.commit()
    with pytest.raises(InvalidInputError, match="was not built by a retriever: read its payloads through Index"):
        export(tmp_path / "i", tmp_path / "a.jsonl")
