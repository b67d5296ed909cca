"""One index of many vectors through its life: load, build, open, search beside bare FAISS, upsert, delete, compact.

    OMP_NUM_THREADS=2 python benchmarks/index/scale.py [--documents 1000000] [--key KEY] [--memory 2G] [--folder DIR]

Vectors of 384 dimensions, drawn from a normal distribution whose spread falls with the dimension as its number to the
power -0.75: so that neighbours are about as hard to tell apart as those of real texts (local intrinsic dimension near
20). None comes twice; queries are other draws. Every phase is a process of its own. Memory is anonymous (RssAnon), the
highest of samples every 20 ms, less what the process took before it began; mapped files do not count. Searches are
single queries in one thread, ours and bare FAISS on the same file with the same effort in turn; ours has exact scores,
its ties broken, and the tail.
Prints a line of JSON a phase.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from twinbert.index import AnnOptions, BuildOptions, Index, IndexSchema, Record

DIMENSION, BLOCK = 384, 8_192
SPREAD = np.arange(1, DIMENSION + 1, dtype=np.float32) ** -0.75
QUERIES, K = 500, 10


def main() -> None:
    """Run the phases one after the other, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--key", help="index key; chosen by default")
    parser.add_argument("--memory", type=float, help="GB of memory that building may take")
    parser.add_argument("--folder", type=Path, help="where the index is made; a temporary folder by default")
    parser.add_argument("--phase", choices=PHASES, help="run this one only, on the index that is in the folder")
    options = parser.parse_args()
    if options.phase:
        print(json.dumps({"phase": options.phase, **PHASES[options.phase](options)}), flush=True)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for phase in PHASES:
            given = [*sys.argv[1:], "--folder", folder, "--phase", phase]
            subprocess.run([sys.executable, __file__, *given], check=True)


def load(options: argparse.Namespace) -> dict[str, object]:
    """Put rows and vectors and commit, without an ANN index: what everything but encoding and linking costs."""
    figures, _ = built(options.folder / "flat.index", options.documents, BuildOptions(index_key="Flat"))
    return figures


def build(options: argparse.Namespace) -> dict[str, object]:
    """The same with the ANN index, and its tuning."""
    memory = None if options.memory is None else int(options.memory * 1e9)
    chosen = BuildOptions(index_key=options.key, memory=memory)
    figures, index = built(options.folder / "x.index", options.documents, chosen)
    info, tuning = index.info(), index.info().tuning
    figures |= {"index_key": info.index_key, "reason": info.reason, "disk_mb": round(info.bytes / 1e6)}
    if tuning is not None:
        point = tuning.chosen
        figures |= {"recall_at_100": round(point.recall, 4), "visits": point.visits, "refine": point.refine}
    return figures


def open_(options: argparse.Namespace) -> dict[str, object]:
    """Open and answer the first query, in a new process."""
    query = drawn(1, 10**9)
    begun = time.perf_counter()
    index = Index.open(options.folder / "x.index")
    opened = time.perf_counter() - begun
    index.search(query, K)
    return {"open_ms": ms(opened), "open_and_search_ms": ms(time.perf_counter() - begun), "anonymous_mb": anonymous()}


def search(options: argparse.Namespace) -> dict[str, object]:
    """p50 and recall beside bare FAISS, before and after the tail has grown to its limit; then upserts one by one."""
    with Index.open(options.folder / "x.index") as index:
        figures = {"empty_tail": beside_faiss(index)}
        limit = index.options.tail_limit
        put(index, range(options.documents, options.documents + limit))
        figures[f"tail_of_{limit}"] = beside_faiss(index)
        vectors = drawn(60, 10**7)
        times = [timed(lambda n=n: put(index, range(10**7 + n, 10**7 + n + 1), vectors[n : n + 1])) for n in range(60)]
        figures["upsert_1_ms"] = spread(times)
        figures["refresh_ms"] = ms(timed(lambda: len(index)))
    return figures


def delete(options: argparse.Namespace) -> dict[str, object]:
    """Delete three in ten, at random; then look for k again."""
    gone = np.random.default_rng(1).choice(options.documents, options.documents * 3 // 10, replace=False)
    with Index.open(options.folder / "x.index") as index:
        before = recall(index)
        begun = time.perf_counter()
        with index.writer() as writer:
            writer.delete(str(number) for number in gone.tolist())
            writer.commit()
        return {
            "delete_seconds": round(time.perf_counter() - begun, 1),
            "10-recall@10_before": before,
            "10-recall@10": recall(index),
            "short_answers": int((index.search(drawn(QUERIES, 10**9), K).rows < 0).any(axis=1).sum()),
            **beside_faiss(index),
        }


def extend(options: argparse.Namespace) -> dict[str, object]:
    """Bring most of the deleted back, and compact: a copy of the ANN index is extended by what waits in the tail."""
    figures: dict[str, object] = {}
    with Index.open(options.folder / "x.index") as index:
        with watched(figures):
            begun = time.perf_counter()
            index.rollback(1)
            figures["rollback_seconds"] = round(time.perf_counter() - begun, 1)
        put(index, range(2 * 10**7, 2 * 10**7 + index.options.tail_limit))
        with watched(figures):
            begun = time.perf_counter()
            index.compact()
            figures["compact_seconds"] = round(time.perf_counter() - begun, 1)
        figures["10-recall@10"] = recall(index)
    return figures


PHASES: dict[str, Callable[[argparse.Namespace], dict[str, object]]] = {
    "load": load,
    "build": build,
    "open": open_,
    "search": search,
    "delete": delete,
    "extend": extend,
}


def built(path: Path, documents: int, options: BuildOptions) -> tuple[dict[str, object], Index]:
    """An index of so many documents, what it took, and how fast rows were loaded."""
    figures: dict[str, object] = {}
    drawing = 0.0
    with watched(figures):
        begun = time.perf_counter()
        index = Index.create(path, IndexSchema("drawn", DIMENSION, "none"), options)
        with index.writer(replace=True) as writer:
            writer.put(record(number) for number in range(documents))
            for batch in writer.pending(BLOCK):
                started = time.perf_counter()
                rows = np.array([int(payload.split(" ")[0]) for _, payload in batch])
                vectors = np.concatenate([drawn(len(part), int(part[0])) for part in runs(rows)])
                drawing += time.perf_counter() - started
                writer.put_vectors([key for key, _ in batch], vectors)
            writer.tune_with(drawn(QUERIES, 2 * 10**9))
            writer.commit()
        seconds = time.perf_counter() - begun - drawing
    return {"seconds": round(seconds, 1), "rows_per_second": round(documents / seconds), **figures}, index


def runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Consecutive numbers, in parts."""
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1)


def put(index: Index, numbers: range, vectors: NDArray[np.float32] | None = None) -> None:
    """One command that puts these documents, with their vectors or some that are drawn for them."""
    vectors = drawn(len(numbers), numbers[0]) if vectors is None else vectors
    with index.writer() as writer:
        writer.put(record(number) for number in numbers)
        writer.put_vectors([key(number) for number in numbers], vectors)
        writer.commit()


def beside_faiss(index: Index) -> dict[str, object]:
    """Milliseconds a query, in turn, and what both find of the true ten."""
    faiss.omp_set_num_threads(1)
    info = index.info()
    path = index.path / "segments" / str(info.generation) / "ann.faiss"
    bare = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    effort = info.tuning.chosen if info.tuning else None
    if effort is None:
        return {}
    wanted = K * effort.refine + 8
    if info.index_key.startswith("HNSW"):
        parameters = faiss.SearchParametersHNSW(efSearch=effort.visits)
    else:
        parameters = faiss.SearchParametersIVF(nprobe=effort.visits)
    ours, theirs = [], []
    queries = drawn(QUERIES, 10**9)
    for query, another in zip(queries, queries[::-1], strict=True):  # neither finds the other's paths in the cache
        theirs.append(timed(lambda q=query: bare.search(q[None], wanted, params=parameters)))
        ours.append(timed(lambda q=another: index.search(q[None], K)))
    ratio = round(float(np.median(ours) / np.median(theirs)), 3)
    return {"ours_ms": spread(ours), "faiss_ms": spread(theirs), "ratio": ratio, "10-recall@10": recall(index)}


def recall(index: Index) -> float:
    """10-recall@10 against exact search."""
    queries = drawn(QUERIES, 10**9)
    found, right = index.search(queries, K).rows, index.search(queries, K, AnnOptions(exact=True)).rows
    return round(float(np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, right, strict=True)])), 4)


def drawn(count: int, first: int) -> NDArray[np.float32]:
    """Unit vectors numbered from ``first`` on, ``(count, DIMENSION)`` float32."""
    blocks = []
    for start in range(first - first % BLOCK, first + count, BLOCK):
        generator = np.random.default_rng(start)
        low, high = max(first - start, 0), min(first + count - start, BLOCK)
        rows = generator.standard_normal((BLOCK, DIMENSION), dtype=np.float32)[low:high] * SPREAD
        blocks.append(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return np.concatenate(blocks)


def record(number: int) -> Record:
    """A document of about 300 characters."""
    return Record(str(number), key(number), f"{number} " + "lorem ipsum dolor " * 16)


def key(number: int) -> bytes:
    """The name of a vector."""
    return blake2b(str(number).encode(), digest_size=32).digest()


@contextmanager
def watched(figures: dict[str, object]) -> Iterator[None]:
    """Note the highest anonymous memory of the block, less what there was before."""
    before, peak, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            peak[0] = max(peak[0], anonymous())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    figures["peak_anonymous_mb"] = peak[0] - before


def anonymous() -> int:
    """Megabytes of this process that no file backs."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024 / 1e6)


def timed(call: Callable[[], object]) -> float:
    """Seconds of a call."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def spread(seconds: list[float]) -> list[float]:
    """p10, p50 and p90 in milliseconds."""
    return [ms(value) for value in np.quantile(seconds, (0.1, 0.5, 0.9))]


def ms(seconds: float) -> float:
    """Milliseconds, to three digits."""
    return round(1e3 * float(seconds), 3)


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
