"""Makes a new segment current in the surrounding transaction: writes its files, then forgets what it replaces."""

from __future__ import annotations

from pathlib import Path

import apsw

from ..errors import IndexFolderError
from .layout import Layout, publish_folder
from .segment import Segment, SegmentDescription, SegmentRequest
from .segment_files import write_segment
from .store import encode, pending_build

_FORGET_MOVED = "DELETE FROM fresh WHERE vector IN (SELECT vector FROM documents WHERE died IS NULL)"
_FORGET_UNUSED = """
DELETE FROM vectors
WHERE vector NOT IN (SELECT vector FROM documents WHERE died IS NULL) AND vector NOT IN (SELECT vector FROM
fresh)
"""


def publish(connection: apsw.Connection, layout: Layout, request: SegmentRequest) -> SegmentDescription:
    """Write generation ``request.commit.generation`` and make it current when the surrounding transaction ends.

    Documents that died before the generation before ``request.previous`` was published are forgotten, so that readers
    keep the rows they were given over two publications; vectors that nothing uses any more, too.

    Raises InvalidInputError when an ANN index does not find its own vectors again or does not fit the memory,
    IndexFolderError when the files cannot be written.
    """
    folder = layout.segment(request.commit.generation)
    described: list[SegmentDescription] = []

    def fill(temporary: Path) -> None:
        described.append(write_segment(connection, layout, temporary, request))

    try:
        publish_folder(folder, fill)
    except OSError as error:
        raise IndexFolderError(f"{folder} cannot be written ({error.strerror}): free space and try again") from error
    connection.execute("DELETE FROM segments")
    connection.execute("INSERT INTO segments VALUES (?, ?)", (request.commit.generation, encode(described[0])))
    _forget(connection, request.previous)
    return described[0]


def _forget(connection: apsw.Connection, previous: Segment | None) -> None:
    """Drop what the segment holds or nobody needs; a build that may be resumed keeps its staged vectors."""
    died_by = -1 if previous is None else previous.description.before
    connection.execute("DELETE FROM documents WHERE died <= ?", (died_by,))
    connection.execute("DELETE FROM commits WHERE number < ?", (died_by,))
    if pending_build(connection) is None:
        connection.execute("DELETE FROM fresh")
    else:
        connection.execute(_FORGET_MOVED)
    connection.execute(_FORGET_UNUSED)
