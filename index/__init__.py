"""Vectors and documents on disk: snapshots, FAISS, exact search, updates that survive a kill."""

from .choice import Choice
from .columns import entries_at, kind_at, value_at
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
    "GcReport",
    "Index",
    "IndexInfo",
    "IndexSchema",
    "Listing",
    "OperatingPoint",
    "Problem",
    "Record",
    "Stored",
    "Tuning",
    "Writer",
    "entries_at",
    "kind_at",
    "value_at",
]
