"""When a segment is worn out, and what is tidied after a new one was published."""

from __future__ import annotations

import apsw
import msgspec
import numpy as np

from .layout import Layout, keep_only_segment, publish_text
from .segment import SegmentDescription
from .snapshot import Snapshot
from .store import FORMAT, Commit, encode

_LEAST_DEAD = 1_000
"""So many dead or fewer never call for a new segment."""


def is_worn(snapshot: Snapshot) -> bool:
    """Whether the tail has outgrown the options, or too many of the segment's documents have died."""
    options, documents = snapshot.commit.options, snapshot.segment.description.documents
    if len(snapshot.tail.rows) > max(options.tail_limit, options.tail_share * documents):
        return True
    dead = int(np.count_nonzero(snapshot.dead_slots))
    return dead > max(_LEAST_DEAD, options.dead_share * documents)


def tidy(connection: apsw.Connection, layout: Layout, commit: Commit, segment: SegmentDescription) -> None:
    """Describe the new generation for people, remove the old ones, give unused pages back to the disk."""
    manifest = {
        "format": FORMAT,
        "commit": msgspec.to_builtins(commit),
        "segment": msgspec.to_builtins(segment),
    }
    publish_text(layout.manifest, msgspec.json.format(encode(manifest), indent=2) + "\n")
    keep_only_segment(layout, commit.generation)
    connection.execute("PRAGMA incremental_vacuum").fetchall()
