"""Looks at everything an index holds and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
import numpy as np

from ..errors import IndexDamagedError
from .ann_build import SELF_RECALL, default_visits, self_recall
from .evidence_spool import evidence_blocks, faulty_evidence
from .history import lost_vectors
from .integrity import store_faults
from .layout import Layout, checksum
from .records import Problem
from .segment import ANN, VECTORS, check_size
from .snapshot import Snapshot
from .spool import faulty_blocks
from .vectors import UNIT_TOLERANCE
from .words_check import check_words

_BLOCK_ROWS = 8_192


def find_problems(connection: apsw.Connection, layout: Layout, snapshot: Snapshot) -> Iterator[Problem]:
    """Every fault of the store and of the files that ``snapshot`` reads; call it inside one transaction."""
    yield from _store_problems(connection, layout, snapshot)
    damaged = list(_file_problems(layout, snapshot))
    yield from damaged
    if not damaged:  # FAISS would follow a damaged graph wherever it leads
        yield from _vector_problems(snapshot)


def _store_problems(connection: apsw.Connection, layout: Layout, snapshot: Snapshot) -> Iterator[Problem]:
    name = layout.store.name
    documents = connection.execute("SELECT count(*) FROM documents WHERE died IS NULL").get
    if documents != snapshot.commit.documents:
        yield Problem(name, f"{documents} documents are live, the commit says {snapshot.commit.documents}")
    for fault in store_faults(connection):
        yield Problem(name, fault)
    for block in faulty_blocks(connection, layout):
        yield Problem(layout.spool.name, f"staged vectors from row {block.place} on do not match their hash")
    for evidence in faulty_evidence(layout.evidence_spool, evidence_blocks(connection)):
        yield Problem(
            layout.evidence_spool.name, f"staged evidence from row {evidence.place} on does not match its hash"
        )
    try:
        check_words(connection, snapshot)
    except IndexDamagedError as error:
        yield Problem(name, str(error))
    for number in lost_vectors(connection, snapshot.segment).tolist():
        yield Problem(name, f"vector {number} is nowhere, a document version needs it")


def _file_problems(layout: Layout, snapshot: Snapshot) -> Iterator[Problem]:
    description = snapshot.segment.description
    for name, seal in description.files.items():
        path = layout.segment(description.generation) / name
        try:
            check_size(path, seal)
        except IndexDamagedError as error:
            yield Problem(str(path.relative_to(layout.folder)), str(error))
            continue
        if checksum(path) != seal.blake2b:
            yield Problem(
                str(path.relative_to(layout.folder)), "does not match its checksum: twinbert index rebuild mends it"
            )


def _vector_problems(snapshot: Snapshot) -> Iterator[Problem]:
    segment = snapshot.segment
    for start in range(0, len(segment.vectors), _BLOCK_ROWS):
        norms = np.linalg.norm(segment.vectors[start : start + _BLOCK_ROWS].astype(np.float64), axis=1)
        wrong = int(np.count_nonzero(~(np.abs(norms - 1) <= UNIT_TOLERANCE)))
        if wrong:
            yield Problem(VECTORS, f"{wrong} vectors from position {start} on are not unit vectors")
    if segment.ann is not None:
        visits = default_visits(segment.ann.family, snapshot.commit.options)
        recall = self_recall(segment.ann, segment.vectors, visits)
        if recall < SELF_RECALL:
            yield Problem(
                ANN, f"finds only {recall:.1%} of its own vectors again: twinbert index rebuild makes it anew"
            )
