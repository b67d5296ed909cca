"""Writes the files of one segment from the documents that live in the surrounding transaction."""

from __future__ import annotations

from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, InvalidInputError
from .ann_files import AnnFiles, write_ann
from .changes import LAST_ROW
from .choice import choose
from .evidence_files import distinct_terms, write_evidence
from .layout import Layout, checksum
from .options import VECTOR_TYPES
from .segment import BY_ROW, NUMBERS, ROWS, STARTS, VECTORS, FileSeal, SegmentDescription, SegmentRequest
from .vectors import from_blob, vector_hash

_FRESH_BETWEEN = "SELECT vector, data, hash FROM fresh WHERE vector BETWEEN ? AND ?"
BLOCK_ROWS = 8_192
"""Vectors held in memory at once while a segment is written."""


def write_segment(
    connection: apsw.Connection, layout: Layout, folder: Path, request: SegmentRequest
) -> SegmentDescription:
    """Write everything into ``folder`` and describe it.

    The ANN index is a copy of the previous one with the new vectors added, where that one still fits; vectors that
    nothing uses any more then stay in their places. Otherwise they are left out and the index is made from nothing.
    """
    rows, vector_of = _live_documents(connection)
    if _extends(request, vector_of):
        files = _write(connection, layout, folder, request, (rows, vector_of), extend=True)
        if not files.has_drifted:
            return _described(connection, folder, request, len(rows), files)
        for path in folder.iterdir():
            path.unlink()
    files = _write(connection, layout, folder, request, (rows, vector_of), extend=False)
    return _described(connection, folder, request, len(rows), files)


def _live_documents(connection: apsw.Connection) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and vector numbers of live documents, by vector number and then by id, descending."""
    cursor = connection.execute("SELECT row, vector FROM documents WHERE died IS NULL ORDER BY vector, id DESC")
    pairs = np.fromiter((value for pair in cursor for value in pair), dtype=np.int64).reshape(-1, 2)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def _extends(request: SegmentRequest, vector_of: NDArray[np.int64]) -> bool:
    """Whether the previous ANN index can go on: same space and family, few vectors unused, lists not outgrown."""
    previous, commit = request.previous, request.commit
    if previous is None or previous.ann is None or request.rebuild:
        return False
    old = previous.description
    told = (commit.schema.space, VECTOR_TYPES[commit.options.vector_type], commit.schema.evidence)
    if (old.space, old.dtype, old.evidence) != told:
        return False
    used = np.unique(vector_of)
    total = len(np.union1d(previous.numbers, used))
    choice = choose(total, commit.schema.dimension, commit.options)
    same = choice.index_key == old.index_key or (commit.options.index_key is None and total <= 2 * old.trained)
    outgrown = previous.ann.family.lists > 0 and total > 2 * old.trained
    return same and not outgrown and total - len(used) <= commit.options.dead_share * total


def _write(
    connection: apsw.Connection,
    layout: Layout,
    folder: Path,
    request: SegmentRequest,
    documents: tuple[NDArray[np.int64], NDArray[np.int64]],
    *,
    extend: bool,
) -> AnnFiles:
    rows, vector_of = documents
    numbers = np.unique(vector_of)
    if extend and request.previous is not None:
        numbers = np.union1d(request.previous.numbers, numbers)
    sizes = np.bincount(np.searchsorted(numbers, vector_of), minlength=len(numbers))
    arrays = {
        NUMBERS: numbers,
        ROWS: rows,
        STARTS: np.append(0, np.cumsum(sizes)).astype(np.int64),
        BY_ROW: np.argsort(rows, kind="stable"),
    }
    for name, array in arrays.items():
        np.save(folder / name, array)
    if request.spool is None or not request.spool.take_over(folder / VECTORS, numbers):
        _write_vectors(connection, folder / VECTORS, numbers, request)
    write_evidence(connection, folder, numbers, sizes, request)
    return write_ann(layout, folder, request, extend=extend)


def _described(
    connection: apsw.Connection, folder: Path, request: SegmentRequest, documents: int, files: AnnFiles
) -> SegmentDescription:
    commit, previous = request.commit, request.previous
    return SegmentDescription(
        generation=commit.generation,
        commit=commit.number,
        before=-1 if previous is None else previous.description.commit,
        last_row=int(connection.execute(LAST_ROW).get),
        documents=documents,
        vectors=files.vectors,
        nodes=files.nodes,
        space=commit.schema.space,
        dimension=commit.schema.dimension,
        dtype=VECTOR_TYPES[commit.options.vector_type],
        index_key=files.choice.index_key,
        reason=files.choice.reason,
        trained=files.trained,
        tuning=files.tuning,
        evidence=commit.schema.evidence,
        terms=distinct_terms(folder),
        files={path.name: FileSeal(path.stat().st_size, checksum(path)) for path in sorted(folder.iterdir())},
    )


def _write_vectors(
    connection: apsw.Connection, path: Path, numbers: NDArray[np.int64], request: SegmentRequest
) -> None:
    kind, dimension = VECTOR_TYPES[request.commit.options.vector_type], request.commit.schema.dimension
    header = {"descr": kind, "fortran_order": False, "shape": (len(numbers), dimension)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(numbers), BLOCK_ROWS):
            block = np.empty((len(numbers[start : start + BLOCK_ROWS]), dimension), dtype=kind)
            _fill(connection, block, numbers[start : start + BLOCK_ROWS], request)
            file.write(block.data)


def _fill(
    connection: apsw.Connection, block: NDArray[np.floating], wanted: NDArray[np.int64], request: SegmentRequest
) -> None:
    previous, spool = request.previous, request.spool
    places = np.full(len(wanted), -1) if previous is None else previous.positions_of(wanted)
    filled = places >= 0
    if previous is not None and filled.any():
        _check_dimension(previous.description.dimension, block.shape[1])
        block[filled] = previous.vectors[places[filled]]
    if spool is not None:
        staged = spool.holds(wanted)
        block[staged] = spool.read(wanted[staged])
        filled |= staged
    for number, data, digest in connection.execute(_FRESH_BETWEEN, (int(wanted[0]), int(wanted[-1]))):
        place = int(np.searchsorted(wanted, number))
        if wanted[place] == number:
            if vector_hash(data) != digest:
                raise IndexDamagedError(
                    f"fresh vector {number} does not match its hash: twinbert index rebuild encodes it again"
                )
            block[place] = from_blob(data, block.shape[1])
            filled[place] = True
    if not filled.all():
        raise IndexDamagedError("documents of the index have lost their vectors: twinbert index rebuild mends it")


def _check_dimension(stored: int, wanted: int) -> None:
    if stored != wanted:
        raise InvalidInputError(
            f"a vector key names a vector of {stored} dimensions, the index has {wanted}: hash the space into keys"
        )
