"""Makes a new segment current in the surrounding transaction: writes its files, then forgets what it replaces."""

from __future__ import annotations

from pathlib import Path

import apsw
import numpy as np

from ..errors import IndexFolderError
from .history import keep_history
from .layout import Layout, publish_folder
from .segment import NUMBERS, SegmentDescription, SegmentRequest
from .segment_files import write_segment
from .store import encode, replace_segment
from .words import publish_words


def publish(connection: apsw.Connection, layout: Layout, request: SegmentRequest) -> SegmentDescription:
    """Write generation ``request.commit.generation`` and make it current when the surrounding transaction ends.

    What history and readers do not need any more is forgotten; see ``keep_history``.

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
    replace_segment(connection, request.commit.generation, encode(described[0]))
    keep_history(connection, request, np.load(folder / NUMBERS, allow_pickle=False))
    publish_words(connection, folder, request)
    if request.spool is not None:
        request.spool.clear()
    return described[0]
