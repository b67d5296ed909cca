"""A listing gives all documents of one commit, whatever is committed meanwhile."""

import os
from pathlib import Path

import numpy as np
import pytest
from index_world import SCHEMA, build, change, edit, key, vector
from twinbert.errors import IndexDamagedError, IndexFolderError, IndexNotFoundError, IndexUnfinishedError
from twinbert.index import BuildOptions, Index, Listing, Record

TEXTS = {f"d{number:02d}": f"text {number % 30}" for number in range(60)}


def read(listing: Listing, rows: int) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    texts, vectors = {}, {}
    for page in listing.pages(rows):
        assert 0 < len(page) <= rows
        texts |= {stored.id: stored.payload for stored in page}
        matrix = listing.vectors([stored.row for stored in page])
        vectors |= dict(zip([stored.id for stored in page], matrix, strict=True))
    return texts, vectors


@pytest.mark.parametrize("rows", [1, 7, 1_000])
def test_every_document_comes_once_with_its_vector(tmp_path: Path, rows: int) -> None:
    with build(tmp_path / "x", TEXTS, BuildOptions(index_key="HNSW8")) as index:
        change(index, {"new": "a fresh text", "d07": "text changed"}, delete=["d08"])
    expected = {name: text for name, text in TEXTS.items() if name not in ("d07", "d08")}
    expected |= {"new": "a fresh text", "d07": "text changed"}
    with Listing(tmp_path / "x", vectors=True) as listing:
        assert (len(listing), listing.schema, listing.options.index_key) == (60, SCHEMA, "HNSW8")
        texts, vectors = read(listing, rows)
    assert list(texts) == list(expected)  # in the order in which they were put
    assert texts == expected
    assert all(np.array_equal(vectors[name], vector(text)) for name, text in texts.items())


def test_a_listing_stays_at_its_commit(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, Listing(tmp_path / "x", vectors=True) as listing:
        pages = listing.pages(10)
        first = next(pages)
        for round_ in range(3):
            change(index, {f"new {round_}": "new", "d59": f"other {round_}"}, delete=[f"d5{round_}"], compact=True)
        rest = [stored for page in pages for stored in page]
        assert {stored.id: stored.payload for stored in [*first, *rest]} == TEXTS
        matrix = listing.vectors([stored.row for stored in rest])
        assert all(np.array_equal(row, vector(stored.payload)) for row, stored in zip(matrix, rest, strict=True))


def test_documents_that_were_forgotten_meanwhile_are_told(tmp_path: Path) -> None:
    with build(tmp_path / "x", TEXTS) as index, Listing(tmp_path / "x") as listing:
        pages = listing.pages(10)
        next(pages)
        change(index, delete=["d59"])
        index.gc(0)
        with pytest.raises(IndexFolderError, match="forgot documents of commit 1 while they were read: read them"):
            list(pages)


def test_without_vectors_a_damaged_segment_is_no_hindrance(tmp_path: Path) -> None:
    build(tmp_path / "x", TEXTS).close()
    os.truncate(tmp_path / "x" / "segments" / "1" / "vectors.npy", 100)
    with Listing(tmp_path / "x") as listing:
        assert {stored.id: stored.payload for page in listing.pages() for stored in page} == TEXTS
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy has 100 bytes instead"):
        Listing(tmp_path / "x", vectors=True)


def test_what_is_listed_is_as_it_was_put(tmp_path: Path) -> None:
    build(tmp_path / "x", TEXTS).close()
    path = tmp_path / "x" / "segments" / "1" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(IndexDamagedError, match=r"vectors\.npy does not match its checksum"):
        Listing(tmp_path / "x", vectors=True)
    edit(tmp_path / "x", "UPDATE documents SET payload = 'text 8' WHERE id = 'd07'")
    with (
        Listing(tmp_path / "x") as listing,
        pytest.raises(IndexDamagedError, match="row 8, document 'd07', does not match its hash: put it again"),
    ):
        list(listing.pages())


def test_no_index_no_listing(tmp_path: Path) -> None:
    with pytest.raises(IndexNotFoundError):
        Listing(tmp_path / "x")
    with Index.create(tmp_path / "x", SCHEMA) as index, index.writer(replace=True) as writer:
        writer.put([Record("a", key("a"), "a")])
    for vectors in (False, True):
        with pytest.raises(IndexUnfinishedError):
            Listing(tmp_path / "x", vectors=vectors)


def test_an_empty_index_lists_nothing(tmp_path: Path) -> None:
    build(tmp_path / "x", {}).close()
    with Listing(tmp_path / "x", vectors=True) as listing:
        assert (len(listing), list(listing.pages())) == (0, [])
