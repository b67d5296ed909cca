"""Filtered search beside unfiltered: recall against exact, time, and what the first use of a filter costs.

    OMP_NUM_THREADS=1 python benchmarks/index/filters.py --texts 100000 --index-key HNSW32 --work filters.bench

The documents are sentences of the docstrings of every module that this Python can import, distinct, encoded by the
starter; the queries are the first words of some of them, through the query tower. Filters keep a share of them:

* ``random``: by a number drawn for each, so that what matches lies anywhere;
* ``topic``: those nearest to some document, asked about by queries from among them;
* ``elsewhere``: the same topics, asked about by queries from the other half of the documents.

A row gives the share that matches, the fewest hits a query got (never below ``k`` while so many match), recall@k
against scoring every match, and medians in ms of one query at a time, the filter known: as served (with its 95th
percentile), scoring every match, and (``selector``, with its recall) the ANN index alone, told to leave out what does
not match and to look harder by as much as that leaves fewer. ``first`` is the first search with a filter after a
commit: by a column that is kept for it, and (``unkept``) by reading every document.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from twinbert import TwinEncoder
from twinbert.index import AnnOptions, BuildOptions, Condition, Index, IndexSchema, Record
from twinbert.index.ann import SPARE
from twinbert.retrieval.filters import condition_of, parse_filter, paths_of

SHARES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001, 0.0001)
SELECTOR_FROM = 0.05
"""Below, it would have to look so hard that the benchmark took hours."""
TOPICS = 8
SEED = 0
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])|\n\s*\n")
_CODE = re.compile(r">>>|\.\. |::|[{}|]|\S{40}")


def main() -> None:
    """Build or open the index, ask, print."""
    options = _arguments()
    options.work.mkdir(exist_ok=True)
    texts = _texts(options.texts, options.work / "texts.json")
    encoder = TwinEncoder.from_pretrained("starter")
    vectors = _encoded(encoder, texts, options.work / "vectors.npy")
    anchors = np.random.default_rng(SEED).choice(len(texts), TOPICS, replace=False)
    nearness = [_ranks(-(vectors @ vectors[anchor])) / len(texts) for anchor in anchors]
    path = _built(options, vectors, nearness)
    with Index.open(path) as index:
        title = f"{index.info().index_key}, {len(texts):,} documents, k = {options.k}, times in ms"
    table = Table(title=title)
    for name in (
        "filter",
        "share",
        "fewest",
        "recall",
        *("served", "p95", "exact", "selector", "its recall", "first", "unkept"),
    ):
        table.add_column(name, justify="left" if name == "filter" else "right")
    for kind in ("random", "topic", "elsewhere"):
        for share in SHARES if kind == "random" else SHARES[1:]:
            table.add_row(kind, f"{share:g}", *_row(path, encoder, texts, nearness, kind, share, options))
    Console(width=110).print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=25, help="for each topic")
    parser.add_argument("--index-key", default="HNSW32")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument(
        "--work", type=Path, required=True, help="folder that keeps vectors and indexes for the next run"
    )
    return parser.parse_args()


def _texts(count: int, path: Path) -> list[str]:
    kept: list[str] = json.loads(path.read_text()) if path.exists() else []
    if len(kept) == count:
        return kept
    found: dict[str, None] = {}
    for text in _sentences():
        found.setdefault(text)
        if len(found) == count:
            break
    if len(found) < count:
        print(f"only {len(found):,} sentences here", file=sys.stderr)
    path.write_text(json.dumps(list(found)))
    return list(found)


def _sentences() -> Iterator[str]:
    for folder in map(Path, sys.path[1:]):
        for path in sorted(folder.rglob("*.py")):
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue
            for node in ast.walk(tree):
                if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                    for part in _SENTENCE.split(ast.get_docstring(node) or ""):
                        text = " ".join(part.split())
                        if 30 <= len(text) <= 400 and not _CODE.search(text):
                            yield text


def _encoded(encoder: TwinEncoder, texts: Sequence[str], path: Path) -> NDArray[np.float32]:
    if path.exists():
        kept: NDArray[np.float32] = np.load(path)
        if len(kept) == len(texts):
            return kept
    vectors = encoder.encode_documents(texts)
    np.save(path, vectors)
    return vectors


def _ranks(values: NDArray[np.float32]) -> NDArray[np.int64]:
    ranks = np.empty(len(values), dtype=np.int64)
    ranks[np.argsort(values)] = np.arange(len(values))
    return ranks


def _built(options: argparse.Namespace, vectors: NDArray[np.float32], nearness: Sequence[NDArray[np.float64]]) -> Path:
    path = options.work / f"{options.index_key}-{len(vectors)}.index"
    if path.exists():
        return path
    drawn = random.Random(SEED)
    kept = paths_of(["drawn", *(f"topic{place}" for place in range(TOPICS))])
    schema = IndexSchema("benchmark", vectors.shape[1], "starter")
    index = Index.create(path, schema, BuildOptions(index_key=options.index_key, filterable=kept))
    keys = [blake2b(str(row).encode(), digest_size=32).digest() for row in range(len(vectors))]
    with index.writer(replace=True) as writer:
        for row, key in enumerate(keys):
            facts = {f"topic{place}": float(near[row]) for place, near in enumerate(nearness)}
            facts |= {"drawn": (value := drawn.random()), "unkept": value}
            writer.put([Record(f"{row:07d}", key, json.dumps({"metadata": facts, "text": "x" * 200, "title": ""}))])
        for start in range(0, len(keys), 10_000):
            writer.put_vectors(keys[start : start + 10_000], vectors[start : start + 10_000])
        writer.commit()
    index.close()
    return path


def _row(
    path: Path,
    encoder: TwinEncoder,
    texts: Sequence[str],
    nearness: Sequence[NDArray[np.float64]],
    kind: str,
    share: float,
    options: argparse.Namespace,
) -> list[str]:
    wheres, queries = [], []
    generator = np.random.default_rng(SEED)
    for place, near in enumerate(nearness):
        field = "drawn" if kind == "random" else f"topic{place}"
        among = {"random": near < 2, "topic": near < share, "elsewhere": near >= 0.5}[kind]
        rows = generator.choice(np.flatnonzero(among), options.queries)
        queries += list(encoder.encode_queries([" ".join(texts[row].split()[:8]) for row in rows]))
        wheres += [None if share == 1 else condition_of(parse_filter(f"{field} < {share}"))] * len(rows)
    with Index.open(path) as index:
        first = [] if share == 1 else [_once(index, queries[0], where, options.k) for where in dict.fromkeys(wheres)]
        unkept = [] if share == 1 or kind != "random" else [_once(index, queries[0], _unkept(share), options.k)]
        return [*_measured(index, queries, wheres, options.k, share), _median(first), _median(unkept)]


def _measured(
    index: Index, queries: Sequence[NDArray[np.float32]], wheres: Sequence[Condition | None], k: int, share: float
) -> list[str]:
    times: dict[str, list[float]] = {"served": [], "exact": [], "selector": []}
    recalls: list[float] = []
    selected: list[float] = []
    fewest = k
    for query, where in zip(queries, wheres, strict=True):
        with _timed(times["served"]):
            found = index.search(query[None], k, where=where).rows[0]
        with _timed(times["exact"]):
            right = index.search(query[None], k, AnnOptions(exact=True), where).rows[0]
        recalls.append(_share(found, right))
        fewest = min(fewest, int(np.count_nonzero(found >= 0)))
        if where is not None and share >= SELECTOR_FROM:
            selected.append(_by_selector(index, query, where, right, times["selector"]))
    p95 = f"{1_000 * np.quantile(times['served'], 0.95):.2f}"
    selector = (_median(times["selector"]), f"{np.mean(selected):.4f}" if selected else "")
    return [f"{fewest}", f"{np.mean(recalls):.4f}", _median(times["served"]), p95, _median(times["exact"]), *selector]


def _by_selector(
    index: Index, query: NDArray[np.float32], where: Condition, right: NDArray[np.int64], times: list[float]
) -> float:
    """Recall of the ANN index with a selector, and nothing else."""
    snapshot = index._selections.narrowed(where)
    ann, tuning = snapshot.segment.ann, snapshot.segment.description.tuning
    assert ann is not None
    assert tuning is not None
    share = snapshot.nodes / len(ann.twins)
    with _timed(times):
        nodes, _ = ann.search(query[None], len(right) + SPARE, round(tuning.chosen.visits / share), snapshot.selector)
    return _share(ann.twins.positions(nodes[0])[: len(right)], snapshot.positions_of_rows(right[right >= 0]))


def _share(found: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    return len(np.intersect1d(found[found >= 0], right)) / max(1, np.count_nonzero(right >= 0))


@contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    yield
    times.append(time.perf_counter() - begun)


def _unkept(share: float) -> Condition:
    return condition_of(parse_filter(f"unkept < {share}"))


def _once(index: Index, query: NDArray[np.float32], where: Condition | None, k: int) -> float:
    begun = time.perf_counter()
    index.search(query[None], k, where=where)
    return time.perf_counter() - begun


def _median(times: Sequence[float]) -> str:
    return f"{1_000 * np.median(times):.2f}" if times else ""


if __name__ == "__main__":
    main()
