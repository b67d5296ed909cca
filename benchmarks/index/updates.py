"""What a change costs beside encoding: upserts, deletions, undoing, syncs, a reader's next look, and bare fsyncs.

    OMP_NUM_THREADS=1 python benchmarks/index/updates.py [--documents 1000000] [--rounds 50] [--folder DIR] [--json]

Random unit vectors of 384 dimensions, index_key Flat, 400 characters of text a document. Wall time in ms from opening
the writer to having left it, the commands interleaved; vectors are drawn before the clock starts. The reader is
another ``Index`` of this process, open all the time. ``rollback_100`` undoes the upsert of 100 before it. At the end,
once, the plan of a sync with all documents as they are, the time to read them included.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from twinbert.index import BuildOptions, Index, IndexSchema, Record

DIMENSION, BATCH_ROWS, TEXT = 384, 4_096, "lorem ipsum " * 33
RANDOM = np.random.default_rng(0)


def main() -> None:
    """Build the index, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--folder", type=Path, help="where the index is made; a temporary folder by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        begun = time.perf_counter()
        with build(Path(folder) / "x.index", options.documents) as index:
            figures: dict[str, object] = {"documents": options.documents}
            figures["build_seconds"] = round(time.perf_counter() - begun, 1)
            figures |= measure(index, options.documents, options.rounds)
            figures["sync_all_seconds"] = round(1e-3 * milliseconds(lambda: plan_of_all(index)), 1)
            begun = time.perf_counter()
        figures["close_ms"] = round(1e3 * (time.perf_counter() - begun), 2)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:<22} {value}")


def build(path: Path, documents: int) -> Index:
    """An index of so many documents; memory holds a batch of them."""
    index = Index.create(path, IndexSchema("random", DIMENSION, "none"), BuildOptions(index_key="Flat"))
    with index.writer(replace=True) as writer:
        writer.put(record(number, "first") for number in range(documents))
        for batch in writer.pending(BATCH_ROWS):
            writer.put_vectors([key for key, _ in batch], unit_rows(len(batch)))
        writer.commit()
    return index


def measure(index: Index, documents: int, rounds: int) -> dict[str, object]:
    """Times of each command in ms, ``[p10, p50, p90]``."""
    times: dict[str, list[float]] = {
        name: []
        for name in ("upsert_1", "refresh", "delete_1", "upsert_100", "rollback_100", "unchanged_1000", "fsync")
    }
    with Index.open(index.path) as reader:
        for turn in range(rounds):
            chosen = RANDOM.choice(documents, size=1_102, replace=False).tolist()
            some = [record(number, f"round {turn}") for number in chosen[:101]]
            times["upsert_1"].append(upsert(index, some[:1]))
            times["refresh"].append(milliseconds(lambda: len(reader)))
            times["upsert_100"].append(upsert(index, some[1:]))
            times["rollback_100"].append(milliseconds(index.rollback))
            times["delete_1"].append(delete(index, str(chosen[101])))
            stored = index.get([str(number) for number in chosen[102:]])
            same = [Record(found.id, key(found.payload), found.payload) for found in stored if found is not None]
            times["unchanged_1000"].append(upsert(index, same))
            times["fsync"].append(milliseconds(lambda: append(index.path / "fsync.tmp")))
        tail = index.info().fresh
    quantiles = {name: np.quantile(taken, (0.1, 0.5, 0.9)).round(2).tolist() for name, taken in times.items()}
    return {**quantiles, "tail_at_the_end": tail}


def upsert(index: Index, records: Iterable[Record]) -> float:
    """Time of one command that puts these."""
    records = list(records)
    drawn = iter(unit_rows(len(records)))
    begun = time.perf_counter()
    with index.writer() as writer:
        writer.put(records)
        for batch in writer.pending(BATCH_ROWS):
            writer.put_vectors([key for key, _ in batch], np.stack([next(drawn) for _ in batch]))
        writer.commit()
    return 1e3 * (time.perf_counter() - begun)


def delete(index: Index, document_id: str) -> float:
    """Time of one deletion."""
    begun = time.perf_counter()
    with index.writer() as writer:
        writer.delete([document_id])
        writer.commit()
    return 1e3 * (time.perf_counter() - begun)


def plan_of_all(index: Index) -> None:
    """Plan a sync that finds everything unchanged."""
    with index.writer(sync=True) as writer:
        writer.put(unchanged(index))
        plan = writer.plan()
    if plan.unchanged != len(index):
        raise SystemExit(f"a sync that should change nothing would do: {plan}")


def unchanged(index: Index) -> Iterator[Record]:
    """All documents as they are, read a page at a time."""
    ids = index.ids()
    while page := list(islice(ids, BATCH_ROWS)):
        for found in index.get(page):
            if found is not None:
                yield Record(found.id, key(found.payload), found.payload)


def append(path: Path) -> None:
    """Write a page durably."""
    with path.open("ab") as file:
        file.write(bytes(4_096))
        file.flush()
        os.fsync(file.fileno())


def milliseconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    begun = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - begun)


def record(number: int, version: str) -> Record:
    """A document whose text, and so its vector, is its version's own."""
    payload = f"{number} {version} {TEXT}"
    return Record(str(number), key(payload), payload)


def key(payload: str) -> bytes:
    """The name of a text's vector."""
    return blake2b(payload.encode(), digest_size=32).digest()


def unit_rows(rows: int) -> NDArray[np.float32]:
    """Random unit vectors, ``(rows, DIMENSION)`` float32."""
    drawn = RANDOM.standard_normal((rows, DIMENSION), dtype=np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
