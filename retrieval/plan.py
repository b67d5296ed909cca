"""The way of documents into an index: read all, encode what is new of what was staged, make it visible at once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

import msgspec

from ..encoders import TwinEncoder
from ..errors import DuplicateIdError, InvalidInputError
from ..index import ChangePlan, ChangeReport, Listing, Record, Writer
from .checks import described
from .evidence import EvidenceMaker
from .payload import document_of, encoded_text, record_of
from .records import Document

Progress = Callable[[int, int], None]
"""Told ``(done, total)`` in texts encoded: at the start, then after every batch; not at all when none is new."""
Planned = Callable[[ChangePlan], None]
"""Told what a command will do before a text is encoded; what it raises stops the command, and nothing has changed."""

ENCODE_ROWS = 256
"""Texts encoded and stored durably at once: what a killed build loses at most."""


def records_of(documents: Iterable[Document], space: str) -> Iterator[Record]:
    """Turn documents into records as they come; raises InvalidInputError for what is no Document."""
    for document in documents:
        if not isinstance(document, Document):
            raise InvalidInputError(f"documents must be Document records, not {described(document)}")
        yield record_of(document, space)


def stored_records(present: Listing, space: str) -> Iterator[Record]:
    """Records for another vector space of the documents that an index stores."""
    for page in present.pages():
        yield from (record_of(document_of(stored), space) for stored in page)


@contextmanager
def read_whole(documents: Iterable[Document], space: str) -> Iterator[Iterator[Record]]:
    """Read documents to the end into a temporary file, then give their records.

    A build reads its corpus so before it makes a folder: a bad last row, or an id of a plain list that comes twice,
    leaves nothing behind. An upsert does before it locks the index. Memory holds the ids.

    Raises DuplicateIdError for an id that comes twice, and whatever reading the documents raises.
    """
    seen: set[str] = set()
    with tempfile.TemporaryFile() as file:
        for record in records_of(documents, space):
            if record.id in seen:
                raise DuplicateIdError(f"id {record.id!r} comes twice in one command: keep one of them")
            seen.add(record.id)
            file.write(msgspec.json.encode(record) + b"\n")
        seen.clear()
        file.seek(0)
        yield _records_in(file)


def carry_out(
    writer: Writer, encoder: TwinEncoder, maker: EvidenceMaker | None, progress: Progress | None
) -> ChangeReport:
    """Encode the texts of what is staged whose vector is not in the store yet, and commit."""
    encode_pending(writer, encoder, maker, progress)
    return writer.commit()


def encode_pending(
    writer: Writer, encoder: TwinEncoder, maker: EvidenceMaker | None, progress: Progress | None
) -> None:
    """Encode the texts of what is staged whose vector is not in the store yet, and make what is cached beside them.

    Each batch of vectors is stored once encoded: stopped in the middle, nothing is visible and a resumed build
    goes on there.
    """
    total, done = writer.pending_count(), 0
    if progress and total:
        progress(done, total)
    for batch in writer.pending(ENCODE_ROWS):
        texts = [encoded_text(payload) for _, payload in batch]
        beside = None if maker is None else maker.evidence(texts, encoder)
        writer.put_vectors([key for key, _ in batch], encoder.encode_documents(texts), beside)
        done += len(batch)
        if progress:
            progress(done, total)


def _records_in(file: BinaryIO) -> Iterator[Record]:
    decoder = msgspec.json.Decoder(Record)
    for line in file:
        yield decoder.decode(line)
