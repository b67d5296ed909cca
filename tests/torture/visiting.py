"""Uses index folders that strangers made, each in a fork of this process with little memory and time.

Run as ``python -m visiting``: every line of stdin is a folder; for each, a line of JSON with the exit code and the end
of what the fork printed. 0: all went well. 3: refused by a TwinBertError. Anything else is a fault of the index.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

import faiss
import numpy as np
from evidence_world import WIDTH, asked
from evidence_world import change as change_with_evidence
from index_world import DIMENSION, vectors
from index_world import change as change_without
from numpy.typing import NDArray
from twinbert.errors import InvalidInputError, TwinBertError
from twinbert.index import AnnOptions, Index
from workload import say

WELL, REFUSED = 0, 3
MEMORY = 1 << 30
"""Bytes that a visit may have beyond what this process has."""
SECONDS = 20


def use(folder: Path) -> None:
    """Everything a reader does, then what a writer does."""
    queries = np.concatenate([vectors(["old 3", "new"]), np.eye(DIMENSION, dtype=np.float32)])
    with Index.open(folder) as index:
        index.info(), index.history(), index.schema, index.options, len(index), index.is_worn
        for options in (AnnOptions(), AnnOptions(exact=True)):
            found = index.search(queries[:, : index.schema.dimension], 4, options)
            rows = found.rows[found.rows >= 0]
            index.stored(rows), index.vectors(rows)
        _use_evidence(index, rows)
        index.get(list(index.ids()))
        index.verify()
        schema = index.schema
        evident = schema.evidence is not None and schema.evidence.part_width == WIDTH
        change = change_with_evidence if evident else change_without
        change(index, {"d03": "mine", "mine": "mine"}, delete=["d04"])
        index.compact()
        index.rollback(1)
        index.gc(0)
        with Index.create(folder, index.schema, overwrite=True, resume=True) as build:
            change(build, {"new": "new", "old": "old 3"}, replace=True)


def _use_evidence(index: Index, rows: NDArray[np.int64]) -> None:
    query = asked({"old": 1.0, "3": 1.0, "new": 1.0, "nothing": 1.0})
    try:
        index.parts(rows), index.bm25(rows, query)
        index.search_terms([query], 4)
    except InvalidInputError:  # a stranger may have said that there is none
        return


def visit(folder: Path) -> int:
    """Use the folder in a fork; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        signal.alarm(SECONDS)
        try:
            use(folder)
        except TwinBertError as error:
            sys.stderr.write(f"{type(error).__name__}: {error}")
            os._exit(REFUSED)
        except BaseException:  # noqa: BLE001  what a user would see as a traceback
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            os._exit(1)
        os._exit(WELL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Visit one folder after the other."""
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryFile("w+b") as printed:
        os.dup2(printed.fileno(), 2)
        for line in sys.stdin:
            printed.seek(0)
            printed.truncate()
            code = visit(Path(line.rstrip("\n")))
            printed.seek(0)
            say(json.dumps({"code": code, "printed": printed.read()[-2_000:].decode(errors="replace")}))


if __name__ == "__main__":
    main()
