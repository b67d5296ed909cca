"""Vectors and documents on disk: the whole storage story, in the order in which it is told.

*The truth is SQLite* (``store``). A command is one transaction: ``session`` takes the ``lock``, opens the one
connection that writes, and knows the commit it found; ``staging`` keeps what the command handed in outside of the
index; ``changes`` lets document versions be born and die; the commit makes all of it visible. Acknowledged means
after COMMIT. ``writer`` is the context that users have of this, ``creation`` begins a build, ``spool`` holds a
build's vectors in one plain file.

*FAISS is derived.* Vectors are keyed by what they were made of and stored once. Fresh ones lie in the store and are
searched exactly, the *tail*. ``publish`` moves them into a *segment*: immutable, checksummed files, mapped by
``segment``, written by ``segment_files`` and, what is derived, ``ann_files``; renamed into place and made current by
the same transaction. The ANN index is of a family (``keys``) that was asked for or chosen by count and memory
(``choice``), built or extended (``ann_build``) over distinct vectors (``twins``), every one of which can be reached
(``reach``), and tuned to a recall target with queries (``tuning``). ``maintenance`` says when a segment is worn.
Nothing is ever added to an index that somebody searches, and nothing happens in the background.

*A reader sees one commit*, a ``snapshot``: a segment, which of its documents have died, the ``tail``. ``reader``
follows the store's commits through ``readonly`` connections. ``filtering`` narrows a snapshot to the documents that a
condition on their payloads (``columns``) holds for. ``search`` takes candidates with an ``effort`` from the ANN index
(``ann``), through a plan where few may be answered (``planning``), or exactly (``exact``), scores them from their
exact vectors, and breaks ties by id. ``listing`` reads all documents of one commit.

*Evidence* is what a rerank needs of a document besides its vector: terms with counts, and parts, both opaque. It lies
wherever its vector does: ``evidence_spool`` beside ``spool``, ``evidence_rows`` beside the fresh ones, ``evidence_map``
in a segment, written and counted by ``evidence_files``. ``statistics`` keeps frequencies and lengths right from commit
to commit, without a scan; ``bm25`` scores with them. ``words`` is an inverted file in the store, changed by the same
transactions, from which ``lexical`` takes candidates; ``words_check`` holds it against the evidence.

*The past* is document versions that have died since: ``history`` keeps what a number of changes back needs, ``undo``
makes a past state the next commit. *Damage* is found by hashes: ``seals`` in the store, checksums on files, all of
them by ``verify`` and ``integrity``.

``index`` is the facade, with ``documents`` and ``facts``; ``layout`` names the files, ``arrays`` reads and writes those
of NumPy; ``options`` and ``records`` are what goes in and out. This
package knows no model and no text: payloads are opaque JSON.
"""

from .bm25 import QueryTerms
from .choice import Choice
from .columns import entries_at, kind_at, value_at
from .evidence import Evidence, EvidenceSchema
from .filtering import Condition
from .index import Index
from .listing import Listing
from .options import AnnOptions, BuildOptions, IndexSchema
from .records import (
    Candidates,
    ChangePlan,
    ChangeReport,
    CommitInfo,
    DeleteReport,
    GcReport,
    IndexInfo,
    Problem,
    Record,
    Stored,
)
from .tuning import OperatingPoint, Tuning
from .writer import Writer

__all__ = [
    "AnnOptions",
    "BuildOptions",
    "Candidates",
    "ChangePlan",
    "ChangeReport",
    "Choice",
    "CommitInfo",
    "Condition",
    "DeleteReport",
    "Evidence",
    "EvidenceSchema",
    "GcReport",
    "Index",
    "IndexInfo",
    "IndexSchema",
    "Listing",
    "OperatingPoint",
    "Problem",
    "QueryTerms",
    "Record",
    "Stored",
    "Tuning",
    "Writer",
    "entries_at",
    "kind_at",
    "value_at",
]
