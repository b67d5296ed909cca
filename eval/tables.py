"""What qrels and runs have in common: read-only tables of query id, document id and a number."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from ..errors import InvalidInputError

Number = TypeVar("Number", int, float)


def frozen(table: Mapping[str, Mapping[str, Number]]) -> Mapping[str, Mapping[str, Number]]:
    """A copy that nobody can change: query id → {document id → number}.

    Raises InvalidInputError for an id that is not a string or is empty.
    """
    for query in table:
        _check_id(query)
        for document in table[query]:
            _check_id(document)
    return MappingProxyType({query: MappingProxyType(dict(row)) for query, row in table.items()})


def _check_id(value: object) -> None:
    if not isinstance(value, str) or not value:
        raise InvalidInputError(f"an id of a query or document must be a string that is not empty, not {value!r}")
