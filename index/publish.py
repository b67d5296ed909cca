"""Writes the next generation's segment from the documents that live in the surrounding transaction."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError, InvalidInputError
from .graph import Graph
from .history import keep_history
from .layout import Layout, checksum, publish_folder
from .options import BuildOptions
from .segment import (
    ANN,
    BY_ROW,
    DTYPE,
    MEMBERS,
    NODES,
    NUMBERS,
    ROWS,
    STARTS,
    VECTORS,
    FileSeal,
    Segment,
    SegmentDescription,
)
from .store import Commit, encode

_FRESH_BETWEEN = "SELECT vector, data FROM fresh WHERE vector BETWEEN ? AND ?"
BLOCK_ROWS = 8_192
"""Vectors held in memory at once while a segment is written."""


def publish(
    connection: apsw.Connection, layout: Layout, commit: Commit, previous: Segment | None
) -> SegmentDescription:
    """Write generation ``commit.generation`` and make it current when the surrounding transaction ends.

    previous: the segment that is current now, from which vectors are copied; all others come from the store.
    What history and readers do not need any more is forgotten; see ``keep_history``.

    Raises InvalidInputError when an HNSW graph does not find its own vectors again, IndexFolderError when
    the files cannot be written.
    """
    folder = layout.segment(commit.generation)
    described: list[SegmentDescription] = []

    def fill(temporary: Path) -> None:
        described.append(_write(connection, temporary, commit, previous))

    try:
        publish_folder(folder, fill)
    except OSError as error:
        raise IndexFolderError(f"{folder} cannot be written ({error.strerror}): free space and try again") from error
    connection.execute("DELETE FROM segments")
    connection.execute("INSERT INTO segments VALUES (?, ?)", (commit.generation, encode(described[0])))
    keep_history(connection, commit, previous, np.load(folder / NUMBERS, allow_pickle=False))
    return described[0]


def _write(connection: apsw.Connection, folder: Path, commit: Commit, previous: Segment | None) -> SegmentDescription:
    rows, vector_of = _live_documents(connection)
    numbers, starts = np.unique(vector_of, return_index=True)
    arrays = {
        NUMBERS: numbers,
        ROWS: rows,
        STARTS: np.append(starts, len(rows)).astype(np.int64),
        BY_ROW: np.argsort(rows, kind="stable"),
    }
    for name, array in arrays.items():
        np.save(folder / name, array)
    shape = (len(numbers), commit.schema.dimension)
    _write_vectors(folder / VECTORS, shape, _vector_blocks(connection, numbers, shape[1], previous))
    index_key = commit.options.family(len(numbers))
    graphed = index_key != "Flat" and len(numbers) > 0
    nodes = _write_graph(folder, index_key, commit.options) if graphed else 0
    return SegmentDescription(
        generation=commit.generation,
        commit=commit.number,
        before=-1 if previous is None else previous.description.commit,
        last_row=int(
            connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'documents'").get
        ),
        documents=len(rows),
        vectors=len(numbers),
        nodes=nodes,
        dimension=shape[1],
        dtype=DTYPE,
        index_key=index_key,
        files={path.name: FileSeal(path.stat().st_size, checksum(path)) for path in sorted(folder.iterdir())},
    )


def _live_documents(connection: apsw.Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and vector numbers of live documents, by vector number and then by id, descending."""
    cursor = connection.execute("SELECT row, vector FROM documents WHERE died IS NULL ORDER BY vector, id DESC")
    pairs = np.fromiter((value for pair in cursor for value in pair), dtype=np.int64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _vector_blocks(
    connection: apsw.Connection, numbers: NDArray[np.int64], dimension: int, previous: Segment | None
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(numbers), BLOCK_ROWS):
        wanted = numbers[start : start + BLOCK_ROWS]
        block = np.empty((len(wanted), dimension), dtype=DTYPE)
        places = np.full(len(wanted), -1) if previous is None else previous.positions_of(wanted)
        filled = places >= 0
        if previous is not None and filled.any():
            _check_dimension(previous.description.dimension, dimension)
            block[filled] = previous.vectors[places[filled]]
        for number, data in connection.execute(_FRESH_BETWEEN, (int(wanted[0]), int(wanted[-1]))):
            place = int(np.searchsorted(wanted, number))
            if wanted[place] == number:
                _check_dimension(len(data) // block.itemsize, dimension)
                block[place] = np.frombuffer(data, dtype=DTYPE)
                filled[place] = True
        if not filled.all():
            raise IndexDamagedError("documents of the index have lost their vectors: build the index again")
        yield block


def _check_dimension(stored: int, wanted: int) -> None:
    if stored != wanted:
        raise InvalidInputError(
            f"a vector key names a vector of {stored} dimensions, the index has {wanted}: hash the space into keys"
        )


def _write_vectors(path: Path, shape: tuple[int, int], blocks: Iterator[NDArray[np.float32]]) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": DTYPE, "fortran_order": False, "shape": shape})
        for block in blocks:
            file.write(block.data)


def _write_graph(folder: Path, index_key: str, options: BuildOptions) -> int:
    vectors: NDArray[np.float32] = np.load(folder / VECTORS, mmap_mode="r", allow_pickle=False)
    graph = Graph.build(vectors, index_key, options)
    graph.save(folder / ANN)
    np.save(folder / MEMBERS, graph.twins.members)
    np.save(folder / NODES, graph.twins.starts)
    return len(graph.twins)
