"""The facade of an index folder: create, open, search, read, verify; what changes it is in ``commands``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import IndexFolderError, InvalidInputError
from .bm25 import QueryTerms, Scorer
from .commands import Commands
from .creation import begin
from .filtering import Condition, Selections
from .history import described
from .keys import family_of
from .layout import Layout
from .maintenance import is_worn
from .options import AnnOptions, BuildOptions, IndexSchema
from .reader import Reader
from .records import Candidates, CommitInfo, IndexInfo, Problem, Stored
from .search import search
from .snapshot import Snapshot, info_of
from .store import Build
from .tail import parts_at
from .vectors import check_vectors

_PAGE = 1_000
_BY_ROW = "SELECT row, id, payload FROM documents WHERE row IN (SELECT value FROM json_each(?))"
_BY_ID = """
SELECT row, id, payload FROM documents WHERE died IS NULL AND id IN (SELECT value FROM json_each(?))
"""
_NEXT_IDS = "SELECT id FROM documents WHERE died IS NULL AND id > ? ORDER BY id LIMIT ?"


class Index(Commands):
    """Vectors and documents in a folder, read at the last commit, whoever made it.

    Every read sees one commit. Searches may run in many threads at once; options travel with the call.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self._reader = Reader(layout)
        self._selections = Selections(layout, self._reader.current)

    @classmethod
    def create(
        cls,
        path: str | Path,
        schema: IndexSchema,
        options: BuildOptions | None = None,
        *,
        overwrite: bool = False,
        resume: bool = False,
        wait: float | None = None,
    ) -> Index:
        """Begin a build in a new folder, or over an index that goes on answering until the build commits.

        It is finished by a ``writer(replace=True)`` that commits.

        overwrite: replace what is there. resume: go on with an unfinished build and the vectors it stored.
        wait: seconds to wait for somebody else who writes; None gives up at once.

        Raises InvalidInputError for an index key that cannot serve, IndexExistsError, IndexUnfinishedError,
        IndexLockedError or IndexFolderError.
        """
        layout = Layout(Path(path))
        if options is not None and options.index_key is not None:
            family_of(options.index_key, schema.dimension)
        begin(layout, Build(schema, options or BuildOptions()), overwrite=overwrite, resume=resume, wait=wait)
        index = cls(layout)
        index._wrote, index._begun = True, schema
        return index

    @classmethod
    def open(cls, path: str | Path) -> Index:
        """Open an index to read, and to write where the folder allows it; a read-only folder is fine.

        Raises IndexNotFoundError, IndexUnfinishedError, IndexDamagedError; IndexFolderError for a newer
        format.
        """
        index = cls(Layout(Path(path)))
        try:
            index._reader.current()
        except BaseException:
            index.close()
            raise
        return index

    @property
    def path(self) -> Path:
        """The folder."""
        return self._layout.folder

    @property
    def schema(self) -> IndexSchema:
        """What the vectors are; of the build that was begun, before the first commit."""
        return self._reader.description()[0]

    @property
    def options(self) -> BuildOptions:
        """How the index was built; of the build that was begun, before the first commit."""
        return self._reader.description()[1]

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        options: AnnOptions | None = None,
        where: Condition | None = None,
    ) -> Candidates:
        """The ``k`` best live documents for each query vector, at the last commit.

        vectors: ``(n_queries, dimension)`` float32 unit rows.
        where: only documents that this is true for, found at that commit and remembered until the next.

        Returns rows and scores, ``(n_queries, k)``; k documents whenever so many live and match.
        Raises InvalidInputError for ``k`` below 1, another shape, NaN, rows that are not unit vectors, or a condition
        that cannot be asked of these payloads.
        """
        if k < 1:
            raise InvalidInputError(f"k must be at least 1, not {k}")
        while True:
            snapshot = self._reader.current() if where is None else self._selections.narrowed(where)
            queries = check_vectors(vectors, snapshot.commit.schema.dimension)
            try:
                return search(snapshot, queries, k, options or AnnOptions(), self._ids_of)
            except IndexFolderError:
                # Others may have compacted twice meanwhile and forgotten the ids of dead rows: the newest has its own.
                if self._reader.current().commit.number == snapshot.commit.number:
                    raise

    def vectors(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Vectors of rows that a search gave, ``(n,)`` int64: ``(n, dimension)`` float32 unit rows.

        Rows stay readable over two compactions. Raises IndexFolderError for a row that is not there (any more).
        """
        snapshot, positions = self._found(rows)
        return snapshot.gather(positions)

    def bm25(self, rows: ArrayLike, query: QueryTerms) -> NDArray[np.float32]:
        """BM25 of rows that a search gave, ``(n,)`` int64, for a query: ``(n,)`` float32, 0 where none of its terms is.

        Frequencies and lengths are those of the live documents of the commit that was searched.

        Raises InvalidInputError where the index keeps no evidence; IndexFolderError as ``vectors``.
        """
        snapshot, positions = self._found(rows)
        return Scorer(snapshot, query).scores(positions).astype(np.float32)

    def parts(self, rows: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
        """Parts of the documents at rows that a search gave, ``(n,)`` int64.

        Returns ``(p, part_width)`` int8, and ``(n + 1,)`` int64: where those of each begin, and the last end.
        Raises as ``bm25``.
        """
        snapshot, positions = self._found(rows)
        return parts_at(snapshot.segment, snapshot.tail, positions)

    def stored(self, rows: ArrayLike) -> list[Stored]:
        """Id and payload of rows that a search gave, ``(n,)`` int64, in their order, by one query.

        Rows stay readable over two compactions. Raises IndexFolderError for a row that is not there (any more).
        """
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1).tolist()
        found = {stored.row: stored for stored in self._stored(_BY_ROW, wanted)}
        lacking = [row for row in wanted if row not in found]
        if lacking:
            raise _lost(lacking[0])
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

    def info(self) -> IndexInfo:
        """What the index holds at the last commit."""
        return info_of(self._reader.current(), self._layout.size())

    @property
    def is_worn(self) -> bool:
        """Whether ``compact`` is due: by its options too much is fresh, or too many documents have died."""
        return is_worn(self._reader.current())

    def verify(self) -> list[Problem]:
        """Every fault found in the store and in the segment's files; empty when all is sound."""
        return self._reader.problems()

    def history(self) -> list[CommitInfo]:
        """The commits that are remembered, the last one first."""
        return described(self._reader.commits())

    def close(self) -> None:
        """Let go of the store; reading from it again raises InvalidInputError.

        The last to close an index that it wrote to leaves a folder that needs no permission to write to be read.
        """
        self._selections.close()
        self._reader.close()
        self._settle()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _found(self, rows: ArrayLike) -> tuple[Snapshot, NDArray[np.int64]]:
        """A snapshot that has all of these rows, and the positions of their vectors."""
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        for snapshot in self._reader.recent():
            positions = snapshot.positions_of_rows(wanted)
            if (positions >= 0).all():
                return snapshot, positions
        raise _lost(int(wanted[positions < 0][0]))

    def _ids_of(self, rows: list[int]) -> dict[int, str]:
        return {stored.row: stored.id for stored in self.stored(rows)}

    def _stored(self, query: str, wanted: list[int] | list[str]) -> Iterator[Stored]:
        for row, document_id, payload in self._reader.ask(query, json.dumps(wanted)):
            yield Stored(row, document_id, payload)


def _lost(row: int) -> IndexFolderError:
    return IndexFolderError(f"row {row} is not in the index any more: search again")
