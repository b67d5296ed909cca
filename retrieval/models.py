"""Which model belongs to an index: noted by the build, found again by the opening, refused when it is another."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import msgspec

from ..encoders import TwinEncoder
from ..errors import InvalidInputError, SpaceMismatchError
from ..index import Index, IndexSchema

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


def named_in(schema: IndexSchema) -> str | None:
    """The source that an index names for its model; None where it was not built by a retriever."""
    try:
        return msgspec.json.decode(schema.model, type=_Note).source
    except msgspec.DecodeError:
        return None


def model_of(index: Index) -> str:
    """The source that an index names for its model; raises InvalidInputError when it names none."""
    source = named_in(index.schema)
    if source is None:
        raise InvalidInputError(f"{index.path} does not say which model it was built with: name the model to open it")
    return source


def check_space(index: Index, encoder: TwinEncoder) -> None:
    """Raise SpaceMismatchError unless the encoder answers in the vector space of the index."""
    require_space(index.path, index.schema, encoder)


def require_space(path: str | Path, schema: IndexSchema, encoder: TwinEncoder) -> None:
    """Raise SpaceMismatchError unless the encoder answers in the vector space of the index at ``path``."""
    if encoder.space != schema.space:
        raise SpaceMismatchError(
            f"the model {encoder.source} answers in the vector space {encoder.space}, {path} holds the space "
            f"{schema.space} of {named_in(schema) or 'another model'}: open it with that model, "
            "or encode it anew with `twinbert index reencode`"
        )
