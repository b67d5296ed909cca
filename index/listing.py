"""Every live document of one commit, read a page at a time, whatever is committed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import IndexDamagedError, IndexFolderError, IndexUnfinishedError, InvalidInputError
from .layout import Layout
from .options import BuildOptions, IndexSchema
from .reader import Reader
from .readonly import ReadConnection
from .records import Stored
from .seals import document_hash
from .snapshot import Snapshot
from .store import Commit, current_commit

PAGE_ROWS = 1_000
_NEXT = """
SELECT row, id, payload, key, hash FROM documents LEFT JOIN vectors USING (vector)
WHERE row > ?1 AND born <= ?2 AND (died IS NULL OR died > ?2) ORDER BY row LIMIT ?3
"""


class Listing:
    """What lives at the last commit, as a context. It holds no lock, and stays at that commit.

    vectors: whether vectors will be asked for; the segment is then held against its checksums first. Without, the
        store alone is read: damage to a segment is no hindrance.

    Raises IndexNotFoundError, IndexUnfinishedError, IndexDamagedError or IndexFolderError.
    """

    def __init__(self, path: str | Path, *, vectors: bool = False) -> None:
        self._layout = Layout(Path(path))
        self._reader = Reader(self._layout)
        try:
            self._snapshot = self._sound_snapshot() if vectors else None
            self._commit = _last_commit(self._layout) if self._snapshot is None else self._snapshot.commit
        except BaseException:
            self._reader.close()
            raise

    @property
    def schema(self) -> IndexSchema:
        """What the vectors are."""
        return self._commit.schema

    @property
    def options(self) -> BuildOptions:
        """How the index was built."""
        return self._commit.options

    def pages(self, rows: int = PAGE_ROWS) -> Iterator[list[Stored]]:
        """All documents in the order in which they were put, at most ``rows`` at a time.

        Raises IndexDamagedError for a document that does not match its hash; IndexFolderError at the end where others
        have meanwhile forgotten some of them, which takes a ``gc`` or more changes than the index remembers.
        """
        last, given = 0, 0
        while page := self._reader.ask(_NEXT, last, self._commit.number, rows):
            given += len(page)
            last = page[-1][0]
            yield [_checked(*row) for row in page]
        if given != len(self):
            raise IndexFolderError(
                f"{self._layout.folder} forgot documents of commit {self._commit.number} while they were read: "
                "read them again"
            )

    def vectors(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Vectors of rows of this listing: ``(n, dimension)`` float32 unit rows."""
        if self._snapshot is None:
            raise InvalidInputError("this listing was opened without vectors: open it with them")
        positions = self._snapshot.positions_of_rows(np.array(rows, dtype=np.int64))
        return self._snapshot.gather(positions)

    def close(self) -> None:
        """Let go of the store."""
        self._reader.close()

    def _sound_snapshot(self) -> Snapshot:
        while True:
            snapshot = self._reader.current()
            try:
                segment = snapshot.segment
                segment.check_seals(self._layout.segment(segment.description.generation))
            except IndexDamagedError:
                # Somebody may have replaced the generation meanwhile.
                if self._reader.current() is snapshot:
                    raise
            else:
                return snapshot

    def __len__(self) -> int:
        return self._commit.documents

    def __enter__(self) -> Listing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(row: int, document_id: str, payload: str, key: bytes | None, digest: bytes) -> Stored:
    if key is None or document_hash(document_id, key, payload) != digest:
        raise IndexDamagedError(f"row {row}, document {document_id!r}, does not match its hash: put it again")
    return Stored(row, document_id, payload)


def _last_commit(layout: Layout) -> Commit:
    with closing(ReadConnection(layout)) as store:
        commit = store.read(current_commit)
    if commit is None:
        raise IndexUnfinishedError(f"{layout.folder} holds an unfinished build: resume it, or overwrite it")
    return commit
