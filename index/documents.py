"""The half of an index that hands out documents, by row or by id."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..errors import IndexFolderError
from .reader import Reader
from .records import Stored

_PAGE = 1_000
_BY_ROW = "SELECT row, id, payload FROM documents WHERE row IN (SELECT value FROM json_each(?))"
_BY_ID = """
SELECT row, id, payload FROM documents WHERE died IS NULL AND id IN (SELECT value FROM json_each(?))
"""
_NEXT_IDS = "SELECT id FROM documents WHERE died IS NULL AND id > ? ORDER BY id LIMIT ?"


class Documents:
    """What reads documents; ``Index`` adds the searches."""

    _reader: Reader

    def stored(self, rows: ArrayLike) -> list[Stored]:
        """Id and payload of rows that a search gave, ``(n,)`` int64, in their order, by one query.

        Rows stay readable over two compactions. Raises IndexFolderError for a row that is not there (any more).
        """
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1).tolist()
        found = {stored.row: stored for stored in self._stored(_BY_ROW, wanted)}
        lacking = [row for row in wanted if row not in found]
        if lacking:
            raise lost(lacking[0])
        return [found[row] for row in wanted]

    def get(self, ids: Sequence[str]) -> list[Stored | None]:
        """The live documents of these ids, in their order; None where there is none."""
        found = {stored.id: stored for stored in self._stored(_BY_ID, list(ids))}
        return [found.get(document_id) for document_id in ids]

    def ids(self) -> Iterator[str]:
        """All live ids, ascending; read a page at a time, each at the last commit."""
        last = ""
        while page := self._reader.ask(_NEXT_IDS, last, _PAGE):
            ids = [row[0] for row in page]
            yield from ids
            last = ids[-1]

    def __len__(self) -> int:
        return self._reader.current().commit.documents

    def __contains__(self, document_id: object) -> bool:
        return isinstance(document_id, str) and self.get([document_id])[0] is not None

    def _ids_of(self, rows: list[int]) -> dict[int, str]:
        return {stored.row: stored.id for stored in self.stored(rows)}

    def _stored(self, query: str, wanted: list[int] | list[str]) -> Iterator[Stored]:
        for row, document_id, payload in self._reader.ask(query, json.dumps(wanted)):
            yield Stored(row, document_id, payload)


def lost(row: int) -> IndexFolderError:
    """What is raised for a row that is not there any more."""
    return IndexFolderError(f"row {row} is not in the index any more: search again")
