"""Which model belongs to an index: noted by the build, found again by the opening, refused when it is another."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec

from ..encoders import TwinEncoder
from ..errors import IndexDamagedError, SpaceMismatchError
from ..index import Index

Model: TypeAlias = str | Path | TwinEncoder
"""``starter``, a model folder, a hub id, or an encoder that is loaded already."""


class _Note(msgspec.Struct, frozen=True):
    source: str


def load(model: Model, threads: int = 1) -> TwinEncoder:
    """Load a model, unless it is one already; raises ModelError when it cannot be loaded."""
    return TwinEncoder.from_pretrained(model, threads=threads) if isinstance(model, (str, Path)) else model


def model_note(encoder: TwinEncoder) -> str:
    """What an index keeps to find its model again: JSON ``{"source": …}``."""
    return msgspec.json.encode(_Note(encoder.source)).decode()


def model_of(index: Index) -> str:
    """The source that an index names for its model; raises IndexDamagedError when it names none."""
    try:
        return msgspec.json.decode(index.schema.model, type=_Note).source
    except msgspec.DecodeError as error:
        raise IndexDamagedError(
            f"{index.path} does not say which model it was built with ({error}): name the model when you open it"
        ) from error


def check_space(index: Index, encoder: TwinEncoder) -> None:
    """Raise SpaceMismatchError unless the encoder answers in the vector space of the index."""
    if encoder.space != index.schema.space:
        raise SpaceMismatchError(
            f"the model {encoder.source} answers in the vector space {encoder.space}, {index.path} holds the space "
            f"{index.schema.space} of {model_of(index)}: open it with that model, "
            "or encode it anew with `twinbert index reencode`"
        )
