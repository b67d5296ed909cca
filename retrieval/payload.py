"""What of a document the index keeps beside its vector: canonical JSON, and the key that its vector is shared under."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import msgspec

from ..errors import IndexDamagedError
from ..index import Record, Stored
from .records import Document, full_text


class Payload(msgspec.Struct, frozen=True):
    """The stored part of a document, without its id."""

    title: str
    text: str
    metadata: dict[str, Any]


_DECODER = msgspec.json.Decoder(Payload)


def record_of(document: Document, space: str) -> Record:
    """Turn a document into what the index stores.

    Equal contents give equal payloads, byte for byte, in whatever order their metadata were written.
    """
    payload = {"title": document.title, "text": document.text, "metadata": document.metadata}
    encoded = msgspec.json.encode(payload, order="sorted").decode()
    return Record(document.id, vector_key(document.full_text, space), encoded)


def document_of(stored: Stored) -> Document:
    """Turn what the index stores back into the document that was put.

    Raises IndexDamagedError when the payload is not one that this package wrote.
    """
    payload = payload_of(stored)
    return Document(stored.id, payload.text, payload.title, payload.metadata)


def payload_of(stored: Stored) -> Payload:
    """Decode a stored payload; raises IndexDamagedError when it is not one that this package wrote."""
    try:
        return _DECODER.decode(stored.payload)
    except msgspec.DecodeError as error:
        raise IndexDamagedError(
            f"document {stored.id!r} cannot be read from the index ({error}): build the index again"
        ) from error


def decoded(payload: str) -> Payload:
    """What ``record_of`` put into a payload."""
    return _DECODER.decode(payload)


def encoded_text(payload: str) -> str:
    """The exact text that is encoded for a payload that ``record_of`` made."""
    stored = decoded(payload)
    return full_text(stored.title, stored.text)


def vector_key(text: str, space: str) -> bytes:
    """Name the vector of a text in a vector space: 32 bytes, BLAKE2b of the space, a NUL and the exact text."""
    return blake2b(f"{space}\0{text}".encode(), digest_size=32).digest()
