"""What an index holds, in numbers."""

from __future__ import annotations

import numpy as np

from .records import IndexInfo
from .snapshot import Snapshot
from .words import is_lexical


def info_of(snapshot: Snapshot, size: int) -> IndexInfo:
    """What an index holds at a commit; ``size``: bytes of its folder."""
    commit, segment = snapshot.commit, snapshot.segment.description
    return IndexInfo(
        documents=commit.documents,
        vectors=int(np.count_nonzero(snapshot.alive)),
        reason=segment.reason,
        tuning=segment.tuning,
        dimension=commit.schema.dimension,
        index_key=segment.index_key,
        generation=commit.generation,
        commit=commit.number,
        space=commit.schema.space,
        model=commit.schema.model,
        fresh=len(snapshot.tail.live_rows),
        dead=int(np.count_nonzero(snapshot.dead_slots)),
        bytes=size,
        evidence=None if commit.schema.evidence is None else commit.schema.evidence.note,
        lexical=is_lexical(commit),
    )
