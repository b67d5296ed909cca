"""When a segment is worn out, and what is tidied after a new one was published."""

from __future__ import annotations

import apsw
import msgspec

from .layout import Layout, keep_only_segment, publish_text
from .options import BuildOptions
from .segment import SegmentDescription
from .store import FORMAT, Commit, encode

_LEAST_DEAD = 1_000
"""Fewer dead than this never call for a new segment."""


def is_worn(connection: apsw.Connection, segment: SegmentDescription, options: BuildOptions) -> bool:
    """Whether the tail has outgrown the options, or too many of the segment's documents have died."""
    tail = connection.execute("SELECT count(*) FROM documents WHERE row > ?", (segment.last_row,)).get
    if tail > max(options.tail_limit, options.tail_share * segment.documents):
        return True
    dead = connection.execute(
        "SELECT count(*) FROM documents WHERE died > ? AND row <= ?", (segment.commit, segment.last_row)
    ).get
    return bool(dead > max(_LEAST_DEAD, options.dead_share * segment.documents))


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
