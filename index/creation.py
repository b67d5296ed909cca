"""Begins a build: makes the folder, and notes what the first or next replacing commit will hold."""

from __future__ import annotations

from pathlib import Path

import apsw

from ..errors import IndexExistsError, IndexFolderError, IndexUnfinishedError
from .evidence_spool import evidence_blocks
from .layout import Layout, make_folder
from .lock import WriterLock
from .options import VECTOR_TYPES, IndexSchema
from .spool import blocks_of, forget_spooled
from .store import Build, begin_build, current_commit, faults_named, open_writer, pending_build, transaction

_DROP_UNUSED = (
    "DELETE FROM fresh WHERE vector NOT IN (SELECT vector FROM documents)",
    "DELETE FROM evidence WHERE vector NOT IN (SELECT vector FROM fresh)",
    "DELETE FROM vectors WHERE vector NOT IN (SELECT vector FROM fresh) "
    "AND vector NOT IN (SELECT vector FROM documents)",
)


def begin(layout: Layout, build: Build, *, overwrite: bool, resume: bool, wait: float | None) -> None:
    """Make the folder ready for a writer that builds; an index there goes on answering until it commits.

    overwrite: replace what is there, and forget vectors that an unfinished build staged.
    resume: go on with an unfinished build and its staged vectors.
    wait: seconds to wait for somebody else who writes.

    Raises IndexExistsError or IndexUnfinishedError when something is there and neither was said,
    IndexExistsError for a folder of other things, IndexFolderError when it cannot be made.
    """
    _take_folder(layout.folder)
    with WriterLock(layout.lock, wait):
        connection = open_writer(layout)
        try:
            with faults_named(layout), transaction(connection):
                _check_free(connection, layout.folder, overwrite, resume)
                begin_build(connection, build)
                if not resume or not _fits(connection, build):
                    for statement in _DROP_UNUSED:
                        connection.execute(statement)
                    forget_spooled(connection)
        finally:
            connection.close()


def check_begun(layout: Layout, target: IndexSchema, begun: IndexSchema) -> None:
    """Raise IndexFolderError where a build that goes on is not of the vectors that were begun with."""
    if (target.space, target.dimension) != (begun.space, begun.dimension):
        raise IndexFolderError(
            f"somebody else began to build {layout.folder} in the vector space {target.space} meanwhile: agree on one"
        )
    if target.evidence != begun.evidence:
        raise IndexFolderError(
            f"somebody else began to build {layout.folder} with other evidence meanwhile: agree on one"
        )


def _fits(connection: apsw.Connection, build: Build) -> bool:
    """Whether vectors that are staged already are what this build stores."""
    wanted = (VECTOR_TYPES[build.options.vector_type], build.schema.dimension)
    blocks, evidence = blocks_of(connection), build.schema.evidence
    marks = {block.place: block.mark for block in evidence_blocks(connection)}
    return all(
        (block.kind, block.dimension) == wanted and marks.get(block.place) == (evidence and evidence.mark)
        for block in blocks
    )


def _take_folder(folder: Path) -> None:
    try:
        make_folder(folder)
        foreign = not Layout(folder).store.exists() and any(_is_foreign(path.name) for path in folder.iterdir())
    except OSError as error:
        raise IndexFolderError(f"{folder} cannot be made a folder ({error.strerror}): choose another place") from error
    if foreign:
        raise IndexExistsError(f"{folder} holds other files and no index: choose an empty folder")


def _is_foreign(name: str) -> bool:
    """Whether a file says that a folder is somebody's: hidden ones (``.DS_Store``, ``.gitkeep``) do not."""
    return name != "LOCK" and not name.startswith(".")


def _check_free(connection: apsw.Connection, folder: Path, overwrite: bool, resume: bool) -> None:
    unfinished = pending_build(connection) is not None
    if overwrite or (unfinished and resume):
        return
    if current_commit(connection) is not None:
        raise IndexExistsError(f"{folder} holds an index already: say overwrite to replace it")
    if unfinished:
        raise IndexUnfinishedError(
            f"{folder} holds an unfinished build: say resume to go on, or overwrite to start again"
        )
