"""The facade of an index folder: create, open, search, read, verify; what changes it is in ``commands``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import IndexFolderError, InvalidInputError
from .bm25 import QueryTerms, Scorer
from .commands import Commands
from .creation import begin
from .documents import Documents, lost
from .facts import info_of
from .filtering import Condition, Selections
from .history import described
from .keys import family_of
from .layout import Layout
from .lexical import Lexical
from .maintenance import is_worn
from .options import AnnOptions, BuildOptions, IndexSchema
from .reader import Reader
from .records import Candidates, CommitInfo, IndexInfo, Problem
from .search import search
from .snapshot import Snapshot
from .store import Build
from .tail import parts_at
from .vectors import check_vectors


class Index(Commands, Documents):
    """Vectors and documents in a folder, read at the last commit, whoever made it.

    Every read sees one commit. Searches may run in many threads at once; options travel with the call.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self._reader = Reader(layout)
        self._selections = Selections(layout, self._reader.current)
        self._lexical = Lexical(layout)

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
        _check_k(k)
        while True:
            snapshot = self._narrowed(where)
            queries = check_vectors(vectors, snapshot.commit.schema.dimension)
            try:
                return search(snapshot, queries, k, options or AnnOptions(), self._ids_of)
            except IndexFolderError:
                # Others may have compacted twice meanwhile and forgotten the ids of dead rows: the newest has its own.
                if self._reader.current().commit.number == snapshot.commit.number:
                    raise

    def search_terms(self, queries: Sequence[QueryTerms], k: int, where: Condition | None = None) -> Candidates:
        """The ``k`` live documents of highest BM25 for each query, at the last commit, of those with its rarer terms.

        Terms are looked up from the rarest on, up to a budget of documents, and all count for the score. Returns rows
        and scores as ``search``; fewer where fewer hold such a term.

        Raises InvalidInputError as ``search``, and where the index is not ``lexical``.
        """
        _check_k(k)
        return self._lexical.search(lambda: self._narrowed(where), queries, k, self._ids_of)

    def vectors(self, rows: ArrayLike) -> NDArray[np.float32]:
        """Vectors of rows that a search gave, ``(n,)`` int64: ``(n, dimension)`` float32 unit rows.

        Rows stay readable over two compactions. Raises IndexFolderError for a row that is not there (any more).
        """
        snapshot, positions = self._found(rows)
        return snapshot.gather(positions)

    def bm25(self, rows: ArrayLike, query: QueryTerms) -> NDArray[np.float32]:
        """BM25 of rows that a search gave, ``(n,)`` int64, for a query: ``(n,)`` float32, 0 where none of its terms is.

        Frequencies and lengths are those of the documents that lived at the commit searched last.

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

    def info(self) -> IndexInfo:
        """What the index holds at the last commit."""
        return info_of(self._reader.current(), self._layout.size())

    @property
    def commit(self) -> int:
        """Number of the last commit: reads between two looks at it that tell the same number saw one state."""
        return self._reader.current().commit.number

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
        self._lexical.close()
        self._reader.close()
        self._settle()

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _narrowed(self, where: Condition | None) -> Snapshot:
        return self._reader.current() if where is None else self._selections.narrowed(where)

    def _found(self, rows: ArrayLike) -> tuple[Snapshot, NDArray[np.int64]]:
        """A snapshot that has all of these rows, and the positions of their vectors."""
        wanted = np.asarray(rows, dtype=np.int64).reshape(-1)
        for snapshot in self._reader.recent():
            positions = snapshot.positions_of_rows(wanted)
            if (positions >= 0).all():
                return snapshot, positions
        raise lost(int(wanted[positions < 0][0]))


def _check_k(k: int) -> None:
    if k < 1:
        raise InvalidInputError(f"k must be at least 1, not {k}")
