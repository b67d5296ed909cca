"""Gives back what an index holds, as files that a corpus or another program has: one commit, in bounded memory."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec
import numpy as np

from ..errors import InvalidInputError
from ..index import Listing, Stored
from .models import named_in
from .payload import document_of
from .records import Document

_Sink = Callable[[Sequence[Stored]], None]
CORPUS_FIELDS = ("_id", "title", "text")


def corpus_row(document: Document) -> dict[str, Any]:
    """A document as a row of a corpus, from which ``read_documents`` makes it again.

    Raises InvalidInputError for metadata under a name that a corpus gives another meaning.
    """
    for name in CORPUS_FIELDS:
        if name in document.metadata:
            raise InvalidInputError(
                f"document {document.id!r} has metadata named {name!r}, which a corpus cannot hold: rename the field"
            )
    return {"_id": document.id, "title": document.title, "text": document.text, **document.metadata}


def export(
    path: str | Path,
    documents: Path | Callable[[str], None],
    *,
    vectors: Path | None = None,
    ids: Path | None = None,
) -> int:
    """Write all documents of an index at its last commit, in the order in which they were put; says how many.

    documents: a file of JSON lines, packed where its name ends in ``.gz``, or what takes each line.
    vectors: a ``.npy`` file of ``(n, dimension)`` float32 unit rows in the same order. ids: a text file, one id a line.

    Each file appears whole or not at all, and replaces one that is there.

    Raises InvalidInputError for documents that were not put by a retriever, or that a corpus or a list of ids cannot
    hold; IndexDamagedError for what does not match its checksum; OSError where a file cannot be written.
    """
    with Listing(path, vectors=vectors is not None) as listing, ExitStack() as stack:
        if named_in(listing.schema) is None:
            raise InvalidInputError(f"{path} was not built by a retriever: read its payloads through Index")
        sinks = [_documents_sink(stack, documents)]
        if vectors is not None:
            sinks.append(_vectors_sink(stack.enter_context(_whole(vectors)), listing))
        if ids is not None:
            sinks.append(_ids_sink(stack.enter_context(_whole(ids))))
        for page in listing.pages():
            for sink in sinks:
                sink(page)
        return len(listing)


def _documents_sink(stack: ExitStack, target: Path | Callable[[str], None]) -> _Sink:
    take = target
    if isinstance(take, Path):
        file = stack.enter_context(_whole(take))
        if take.suffix == ".gz":
            # Without a time or a name in its header, equal contents make equal files.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0)
            file = cast("BinaryIO", stack.enter_context(packed))
        take = _line_writer(file)
    write = take

    def sink(page: Sequence[Stored]) -> None:
        for stored in page:
            write(msgspec.json.encode(corpus_row(document_of(stored))).decode())

    return sink


def _line_writer(file: BinaryIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        file.write(f"{line}\n".encode())

    return write


def _vectors_sink(file: BinaryIO, listing: Listing) -> _Sink:
    shape = (len(listing), listing.schema.dimension)
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})

    def sink(page: Sequence[Stored]) -> None:
        file.write(listing.vectors([stored.row for stored in page]).astype("<f4", copy=False).tobytes())

    return sink


def _ids_sink(file: BinaryIO) -> _Sink:
    def sink(page: Sequence[Stored]) -> None:
        for stored in page:
            if "\n" in stored.id or stored.id.endswith("\r"):
                raise InvalidInputError(f"id {stored.id!r} ends a line: a list of ids, one a line, cannot hold it")
            file.write(f"{stored.id}\n".encode())

    return sink


@contextmanager
def _whole(target: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when all of it is on the disk; nothing stays of it otherwise."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
