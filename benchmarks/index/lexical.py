"""BM25 of candidates from cached terms, and lexical candidates: time, bytes, what a commit costs.

    OMP_NUM_THREADS=1 python benchmarks/index/lexical.py --documents 250000 --work lexical.bench

The documents are drawn: about ``--terms`` distinct terms each from a vocabulary whose frequencies follow Zipf's law, no
parts, vectors of 8 dimensions (nothing here looks at them). Queries have ``--query`` terms of a document each. Prints
medians in ms over ``--repeat`` queries, one at a time on one thread, of

* ``bm25``: ``Index.bm25`` of 100 documents; and of the same scores another way, by bisection for each document and
  term (``bisection``), taken in turn;
* ``parts``: ``Index.parts`` of the same;
* ``search_terms``: ``Index.search_terms`` for the 100 best (with its 95th percentile);
* ``first``: ``Index.bm25`` once more after a commit that replaces one document, with what the commit itself took.

``words_bytes`` is what the inverted file takes in the store, ``evidence_bytes`` what the segment's terms do.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path

import apsw
import numpy as np
from numpy.typing import NDArray
from twinbert.index import BuildOptions, Evidence, EvidenceSchema, Index, IndexSchema, QueryTerms, Record
from twinbert.index.bm25 import Scorer

DIMENSION, BATCH, SEED = 8, 1_000, 0
VOCABULARY = 300_000
_SCHEMA = IndexSchema("lexical benchmark", DIMENSION, "none", EvidenceSchema("drawn", 0))


def main() -> None:
    """Build or open the index, ask, print."""
    options = _arguments()
    path = options.work / f"index-{options.documents}-{options.terms}"
    begun = time.perf_counter()
    if not path.exists():
        _build(path, options)
        print(f"built in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    with Index.open(path) as index:
        found = {"documents": len(index), **_sizes(path)} | _measured(index, options)
    print(json.dumps(found, indent=1))


def _measured(index: Index, options: argparse.Namespace) -> dict[str, float]:
    generator = np.random.default_rng(SEED + 1)
    queries = [_query(generator, index, options) for _ in range(options.repeat)]
    rows = [generator.integers(1, options.documents, 100) for _ in queries]
    for asked, some in zip(queries, rows, strict=True):
        assert np.allclose(index.bm25(some, asked), _bisected(index, some, asked), rtol=1e-5)
    ways: dict[str, Callable[[NDArray[np.int64], QueryTerms], object]] = {
        "bm25": index.bm25,
        "bisection": lambda some, asked: _bisected(index, some, asked),
        "parts": lambda some, _: index.parts(some),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for asked, some in zip(queries, rows, strict=True):
        for name, way in ways.items():
            way(some, asked)
            taken[name].append(_timed(lambda way=way, some=some, asked=asked: way(some, asked)))
    found = {name: _median(times) for name, times in taken.items()}
    lexical = [_timed(lambda asked=asked: index.search_terms([asked], 100)) for asked in queries]
    found |= {"search_terms": _median(lexical), "search_terms_p95": round(float(np.percentile(lexical, 95)), 3)}
    return found | _after_commits(index, queries, rows)


def _sizes(path: Path) -> dict[str, int]:
    with apsw.Connection(str(path / "store.sqlite"), flags=apsw.SQLITE_OPEN_READONLY) as store:
        words = store.execute("SELECT sum(pgsize) FROM dbstat WHERE name LIKE 'words_%'").get
    arrays = [file.stat().st_size for name in ("terms", "counts", "term_starts") for file in path.rglob(f"{name}.npy")]
    return {"words_bytes": words, "evidence_bytes": sum(arrays)}


def _after_commits(index: Index, queries: list[QueryTerms], rows: list[NDArray[np.int64]]) -> dict[str, float]:
    commits, firsts = [], []
    generator = np.random.default_rng()
    for asked, some in zip(queries[:20], rows, strict=False):
        name = str(int(generator.integers(0, len(index))))
        commits.append(_timed(lambda name=name: _put(index, generator, [name])))
        len(index)  # which follows the commit
        firsts.append(_timed(lambda asked=asked, some=some: index.bm25(some, asked)))
    return {"commit": _median(commits), "first": _median(firsts)}


def _bisected(index: Index, rows: NDArray[np.int64], query: QueryTerms) -> NDArray[np.float32]:
    """BM25 of rows by a bisection for each of them and each term, all at once; of an index without a tail."""
    snapshot, positions = index._found(rows)
    scorer, stored = Scorer(snapshot, query), snapshot.segment.evidence
    assert stored is not None
    entries, terms = stored.entries, scorer.terms
    inside = np.minimum(positions, len(stored.lengths) - 1)
    low = np.repeat(entries.term_starts[inside][:, None], len(terms), axis=1)
    end = entries.term_starts[inside + 1][:, None]
    size = int((end - low).max())
    high = np.broadcast_to(end, low.shape).copy()
    for _ in range(max(size, 1).bit_length()):
        middle = (low + high) >> 1
        less = (entries.terms[np.minimum(middle, len(entries.terms) - 1)] < terms) & (low < high)
        low, high = np.where(less, middle + 1, low), np.where(less, high, middle)
    place = np.minimum(low, len(entries.terms) - 1)
    found = (entries.terms[place] == terms) & (low < end)
    times = np.where(found, entries.counts[place], 0).astype(np.float64)
    norms = scorer._norm[0] + scorer._norm[1] * stored.lengths[inside][:, None]
    return (scorer.worth * (times / (times + norms))).sum(axis=1).astype(np.float32)


def _query(generator: np.random.Generator, index: Index, options: argparse.Namespace) -> QueryTerms:
    snapshot, positions = index._found([int(generator.integers(1, options.documents))])
    assert snapshot.segment.evidence is not None
    terms = snapshot.segment.evidence.entries.take(positions).terms
    chosen = generator.choice(terms, min(options.query, len(terms)), replace=False)
    return QueryTerms(chosen, np.ones(len(chosen), dtype=np.float32))


def _build(path: Path, options: argparse.Namespace) -> None:
    generator = np.random.default_rng(SEED)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Index.create(path, _SCHEMA, BuildOptions(index_key="Flat")) as index, index.writer(replace=True) as writer:
        for names in _batches(options.documents):
            keys, evidence = _drawn(generator, names, options.terms)
            writer.put(Record(name, key, "{}") for name, key in zip(names, keys, strict=True))
            writer.put_vectors(keys, _vectors(generator, len(names)), evidence)
        begun = time.perf_counter()
        writer.commit()
        print(f"committed in {time.perf_counter() - begun:.0f} s", file=sys.stderr)


def _put(index: Index, generator: np.random.Generator, names: list[str]) -> None:
    keys, evidence = _drawn(generator, names, 100)
    with index.writer() as writer:
        writer.put(Record(name, key, "{}") for name, key in zip(names, keys, strict=True))
        writer.put_vectors(keys, _vectors(generator, len(names)), evidence)
        writer.commit()


def _batches(count: int) -> Iterator[list[str]]:
    for start in range(0, count, BATCH):
        yield [str(number) for number in range(start, min(start + BATCH, count))]


def _drawn(generator: np.random.Generator, names: list[str], distinct: int) -> tuple[list[bytes], Evidence]:
    """Keys and evidence of so many documents."""
    salt = generator.bytes(8)
    keys = [blake2b(salt + name.encode(), digest_size=32).digest() for name in names]
    said = generator.zipf(1.2, (len(names), distinct * 5)) % VOCABULARY
    each = [np.unique(_hashed(row), return_counts=True) for row in said.astype(np.uint64)]
    each = [(terms[:distinct], counts[:distinct]) for terms, counts in each]
    sizes = [len(terms) for terms, _ in each]
    starts = np.append(0, np.cumsum(sizes)).astype(np.int64)
    terms = np.concatenate([terms for terms, _ in each]).astype(np.uint32)
    counts = np.concatenate([counts for _, counts in each]).astype(np.uint16)
    nothing = np.zeros(len(names) + 1, dtype=np.int64)
    return keys, Evidence(starts, terms, counts, nothing, np.empty((0, 0), dtype=np.int8))


def _hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return (words * np.uint64(2_654_435_761)) % np.uint64(2**32)


def _vectors(generator: np.random.Generator, count: int) -> NDArray[np.float32]:
    rows = generator.standard_normal((count, DIMENSION))
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return 1e3 * (time.perf_counter() - begun)


def _median(times: list[float]) -> float:
    return round(float(np.median(times)), 3)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=250_000)
    parser.add_argument("--terms", type=int, default=100, help="distinct terms of a document, at most")
    parser.add_argument("--query", type=int, default=8, help="terms of a query")
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--work", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
