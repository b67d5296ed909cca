"""Commands on history itself: go back some commits, forget what came before some commits."""

from __future__ import annotations

import apsw

from ..errors import InvalidInputError
from .changes import Changes
from .history import COMPACT, forget_commits, forget_vectors, forget_versions, oldest_needed, target_of
from .records import ChangeReport, GcReport
from .segment import SegmentRequest
from .session import Published, Session
from .snapshot import describe_segment
from .store import Build, Command, Commit, faults_named, last_commits, transaction
from .words import forget_words

_RESTORED = """
CREATE TEMP TABLE restored (id TEXT PRIMARY KEY, row INTEGER NOT NULL, vector INTEGER NOT NULL, hash BLOB NOT NULL)
    STRICT
"""
_RESTORE = """
INSERT INTO temp.restored SELECT id, row, vector, hash FROM documents WHERE died > ?1 AND born <= ?1
"""
# Rows grow with commits, so what was born since is what comes after the last row of then.
_LAST_ROW = "SELECT coalesce((SELECT row FROM documents WHERE born <= ? ORDER BY row DESC LIMIT 1), 0)"
_COUNT = """
SELECT count(*) FILTER (WHERE live.row IS NULL),
    count(*) FILTER (WHERE live.hash <> restored.hash OR live.vector <> restored.vector)
FROM temp.restored LEFT JOIN documents AS live ON live.id = restored.id AND live.died IS NULL
"""
_KILL = """
UPDATE documents SET died = ? WHERE row > ? AND died IS NULL AND NOT EXISTS (
    SELECT 1 FROM temp.restored
    WHERE restored.id = documents.id AND restored.hash = documents.hash AND restored.vector = documents.vector)
"""
_BEAR = """
INSERT INTO documents (id, born, vector, hash, payload)
SELECT old.id, ?, old.vector, old.hash, old.payload
FROM temp.restored CROSS JOIN documents AS old ON old.row = restored.row
WHERE NOT EXISTS (SELECT 1 FROM documents AS live WHERE live.id = old.id AND live.died IS NULL)
ORDER BY old.row
"""
_LISTED = "SELECT 1 FROM documents WHERE died > ? AND died <= ? AND row <= ? LIMIT 1"


def roll_back(session: Session, commits: int) -> ChangeReport:
    """Undo the last ``commits`` changes, schema and options too, by a new commit that can itself be undone.

    Versions that have died since are born again as new rows, those born since die, all others stay. A segment is
    written only where the index was built otherwise then.

    Raises InvalidInputError where history does not reach back so far.
    """
    present, connection = session.commit, session.connection
    with faults_named(session.layout), transaction(connection):
        session.check_sizes()
        target = target_of(last_commits(connection), commits)
        done = _restore(connection, session.number, target)
        publishing = (target.schema, target.options) != (present.schema, present.options)
        documents = present.documents + done.added - done.removed
        command = Command("rollback", done.added, done.changed, done.unchanged, done.removed)
        build = Build(target.schema, target.options)
        commit = session.add_commit(documents, build, command, publishing=publishing)
        published = session.publish(SegmentRequest(commit, session.segment(), rebuild=True)) if publishing else None
    session.tidy(published)
    counts = (done.added, done.changed, done.unchanged, done.removed, done.missing)
    return ChangeReport(*counts, documents, commit.generation)


def collect(session: Session, keep: int) -> GcReport:
    """Forget what only changes before the last ``keep`` need, and give its space back.

    Where the segment holds documents that are forgotten, a new one is written without them.

    Raises InvalidInputError for a negative ``keep``.
    """
    if keep < 0:
        raise InvalidInputError(f"commits to keep must be at least 0, not {keep}")
    present, connection = session.commit, session.connection
    before = session.layout.size()
    with faults_named(session.layout), transaction(connection):
        session.check_sizes()
        commits, versions = _remembered(connection)
        oldest = oldest_needed(last_commits(connection), keep)
        forget_commits(connection, oldest)
        published = _publish_without(session, present, oldest, keep)
        forget_versions(connection, died_by=oldest)
        forget_vectors(connection)
        forget_words(connection)
        commits_left, versions_left = _remembered(connection)
    session.tidy(published, shrink=True)
    forgotten = (commits + (published is not None) - commits_left, versions - versions_left)
    return GcReport(*forgotten, max(before - session.layout.size(), 0))


def _remembered(connection: apsw.Connection) -> tuple[int, int]:
    """How many commits, and how many versions that do not live."""
    commits, versions = connection.execute(
        "SELECT (SELECT count(*) FROM commits), (SELECT count(*) FROM documents WHERE died IS NOT NULL)"
    ).get
    return commits, versions


def _restore(connection: apsw.Connection, number: int, target: Commit) -> Changes:
    connection.execute(_RESTORED)
    connection.execute(_RESTORE, (target.number,))
    last_row = int(connection.execute(_LAST_ROW, (target.number,)).get)
    added, changed = connection.execute(_COUNT).get
    connection.execute(_KILL, (number, last_row))
    killed = connection.changes()
    connection.execute(_BEAR, (number,))
    connection.execute("DROP TABLE temp.restored")
    return Changes(added, changed, target.documents - added - changed, killed - changed, 0)


def _publish_without(session: Session, present: Commit, oldest: int, keep: int) -> Published | None:
    """A new segment, where the present one cannot do without documents that died by commit ``oldest``."""
    segment = describe_segment(session.connection, session.layout)
    if session.connection.execute(_LISTED, (segment.commit, oldest, segment.last_row)).get is None:
        return None
    build = Build(present.schema, present.options)
    commit = session.add_commit(present.documents, build, Command(COMPACT), publishing=True)
    return session.publish(SegmentRequest(commit, session.segment(), history=keep))
