"""Damage is mended: what is derived from what is stored, vectors from the texts, with the index's own model."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np
import pytest
from twinbert.encoders import TwinEncoder
from twinbert.errors import IndexDamagedError, IndexNotFoundError, ModelError, SpaceMismatchError
from twinbert.index import BuildOptions, Index, IndexSchema, Record
from twinbert.retrieval import Document, RebuildReport, Retriever, rebuild

GRAPH = BuildOptions(index_key="HNSW8", target_k=5)
NEW = Document("new", "ride a bicycle")
Calls = list[tuple[int, int]]


@pytest.fixture
def folder(tmp_path: Path, documents: list[Document], starter: TwinEncoder) -> Path:
    with Retriever.build(tmp_path / "i", documents, starter, GRAPH) as retriever:
        retriever.upsert([NEW])
        retriever.delete(["d3"])
    return tmp_path / "i"


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def check_whole(folder: Path, documents: list[Document]) -> None:
    expected = {document.id: document for document in [*documents, NEW] if document.id != "d3"}
    with Retriever.open(folder) as retriever:
        assert retriever.index.verify() == []
        assert {name: retriever.get([name])[0] for name in retriever.index.ids()} == expected
        assert (retriever.index.options, retriever.index.info().index_key) == (GRAPH, "HNSW8")
        for document in expected.values():
            best = retriever.search(document.full_text, 1)[0]
            assert (best.id, best.text) == (document.id, document.text)


def segment(folder: Path, name: str) -> Path:
    return next(folder.glob(f"segments/*/{name}"))


@pytest.mark.parametrize(
    "name", ["ann.faiss", "members.npy", "nodes.npy", "queries.npy", "rows.npy", "starts.npy", "by_row.npy"]
)
@pytest.mark.parametrize("damage", [flip, cut, os.unlink])
def test_what_is_derived_is_made_anew_without_a_model(
    folder: Path, documents: list[Document], name: str, damage: Callable[[Path], None], starter: TwinEncoder
) -> None:
    damage(segment(folder, name))
    assert rebuild(folder, model="no model is needed") == RebuildReport(2, 30, 0, None)
    check_whole(folder, documents)


@pytest.mark.parametrize("name", ["vectors.npy", "numbers.npy"])
@pytest.mark.parametrize("damage", [flip, cut, os.unlink])
def test_lost_vectors_are_encoded_again(
    folder: Path, documents: list[Document], name: str, damage: Callable[[Path], None]
) -> None:
    path = segment(folder, name)
    damage(path)
    calls: Calls = []
    report = rebuild(folder, progress=lambda *call: calls.append(call))
    assert (report.generation, report.documents, report.encoded) == (2, 30, 29)  # the fresh one was sound
    assert report.damage is not None
    assert report.damage.startswith(f"{path} ")
    assert calls == [(0, 29), (29, 29)]
    check_whole(folder, documents)


def test_a_damaged_fresh_vector_is_refused_and_encoded_again(folder: Path, documents: list[Document]) -> None:
    store = apsw.Connection(str(folder / "store.sqlite"))
    store.execute("UPDATE fresh SET data = zeroblob(length(data))")
    store.close()
    with Index.open(folder) as index, pytest.raises(IndexDamagedError, match="fresh vector 31 does not match its hash"):
        index.compact()
    report = rebuild(folder)
    assert (report.generation, report.encoded) == (2, 30)
    check_whole(folder, documents)


def test_fresh_vectors_that_are_gone_are_encoded_again(folder: Path, documents: list[Document]) -> None:
    store = apsw.Connection(str(folder / "store.sqlite"))
    store.execute("DELETE FROM fresh")
    store.close()
    with pytest.raises(IndexDamagedError, match="have lost their vectors: twinbert index rebuild mends it"):
        Retriever.open(folder)
    report = rebuild(folder)
    assert (report.encoded, report.damage) == (
        30,
        "documents of the index have lost their vectors: twinbert index rebuild mends it",
    )
    check_whole(folder, documents)


def test_a_stopped_rebuild_goes_on_where_it_stood(
    folder: Path, documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twinbert.retrieval.plan.ENCODE_ROWS", 7)
    flip(segment(folder, "vectors.npy"))

    def stop(done: int, _: int) -> None:
        if done == 14:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild(folder, progress=stop)
    calls: Calls = []
    rebuild(folder, progress=lambda *call: calls.append(call))
    assert calls == [(0, 15), (7, 15), (14, 15), (15, 15)]
    check_whole(folder, documents)


def test_the_model_must_be_of_the_index_s_space(folder: Path, variant: Callable[..., Path]) -> None:
    flip(segment(folder, "vectors.npy"))
    with pytest.raises(SpaceMismatchError, match="open it with that model"):
        rebuild(folder, variant(space="0" * 32))
    with pytest.raises(
        ModelError, match=r"vectors\.npy does not match its checksum.*, which takes the model to mend: "
    ):
        rebuild(folder, folder / "none")
    assert rebuild(folder, "starter").encoded == 29


def test_vectors_that_came_from_elsewhere_are_refused(tmp_path: Path) -> None:
    schema = IndexSchema("own", 2, "mine")
    with Index.create(tmp_path / "i", schema) as index, index.writer(replace=True) as writer:
        writer.put([Record("1", b"k" * 32, "opaque")])
        writer.put_vectors([b"k" * 32], np.array([[0.6, 0.8]], dtype=np.float32))
        writer.commit()
    assert rebuild(tmp_path / "i").encoded == 0
    flip(segment(tmp_path / "i", "vectors.npy"))
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy does not match.*; twinbert did not encode its vectors"):
        rebuild(tmp_path / "i")


def test_a_damaged_store_is_refused(folder: Path) -> None:
    flip(segment(folder, "vectors.npy"))
    store = apsw.Connection(str(folder / "store.sqlite"))
    store.execute("UPDATE documents SET payload = replace(payload, 'sort', 'snort')")
    store.close()
    with pytest.raises(IndexDamagedError, match="document 'd2', does not match its hash: put it again"):
        rebuild(folder)
    with pytest.raises(IndexNotFoundError):
        rebuild(folder.parent / "none")
