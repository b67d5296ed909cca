"""Engines for lexical candidates, measured: SQLite FTS5 by its own rank, FTS5 as an inverted file, tantivy.

    python benchmarks/quality/lexical_engines.py FOLDER... --documents 250000 1000000 --json engines.json

Documents are made of halves of 30-word pieces of the BEIR folders' corpora, a third with a code of its own, so that
frequencies are those of real words; queries are the folders' own. Terms are hashed, as the index does. "budget" drops a
query's most frequent words until at most 20,000 documents hold the others. One thread. Needs tantivy (pip install
tantivy); sizes are of the engine's own files.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from twinbert.encoders.serving.words import WordAnalyser, term_id
from twinbert.retrieval import read_documents, read_queries

PIECE, BUDGET, TOP = 30, 20_000, 200
FTS5 = "CREATE VIRTUAL TABLE words USING fts5(terms, content='', contentless_delete=1, tokenize='ascii', detail={})"
ANALYSER = WordAnalyser()


def main() -> None:
    """Measure every engine at every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--documents", nargs="+", type=int, default=[250_000, 1_000_000])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pieces = [piece for folder in arguments.folders for piece in _pieces(folder)]
    queries = [terms for folder in arguments.folders for terms in _queries(folder)]
    random.Random(0).shuffle(queries)
    found = []
    for count in arguments.documents:
        for engine in (fts5_ranked, fts5_lists, tantivy_index):
            with tempfile.TemporaryDirectory() as folder:
                found.append({"documents": count, **engine(Path(folder), pieces, queries[:100], count)})
                print(json.dumps(found[-1]), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def fts5_ranked(folder: Path, pieces: Sequence[list[str]], queries: Sequence[list[str]], count: int) -> dict[str, Any]:
    """FTS5 orders by its own bm25."""
    connection, rate = _loaded(folder, pieces, count, "full")
    query = "SELECT rowid, rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"

    def ask(terms: Sequence[str]) -> None:
        connection.execute(query, (" OR ".join(terms), TOP)).fetchall()

    return {"engine": "FTS5, its rank", **rate, **_asked(ask, pieces, queries, count), **_added(connection, count)}


def fts5_lists(folder: Path, pieces: Sequence[list[str]], queries: Sequence[list[str]], count: int) -> dict[str, Any]:
    """FTS5 gives each term's documents; scoring them is the index's own."""
    connection, rate = _loaded(folder, pieces, count, "none")

    def ask(terms: Sequence[str]) -> None:
        for term in terms:
            text = connection.execute("SELECT group_concat(rowid) FROM words WHERE words MATCH ?", (term,)).get
            np.fromstring(text or "", dtype=np.int64, sep=",")

    return {"engine": "FTS5, lists", **rate, **_asked(ask, pieces, queries, count), **_added(connection, count)}


def tantivy_index(
    folder: Path, pieces: Sequence[list[str]], queries: Sequence[list[str]], count: int
) -> dict[str, Any]:
    """Tantivy orders by its own BM25; row numbers come from a fast field."""
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("row", stored=False, fast=True, indexed=True)
    builder.add_text_field("terms", stored=False, tokenizer_name="whitespace", index_option="freq")
    schema = builder.build()
    index = tantivy.Index(schema, path=str(folder))
    start = time.perf_counter()
    writer = index.writer(heap_size=200_000_000, num_threads=1)
    for row, terms in enumerate(_documents(pieces, count), start=1):
        writer.add_document(_tantivy_document(tantivy, row, terms))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    rate = {"rows_per_second": count / (time.perf_counter() - start), "bytes_per_row": _size(folder) / count}

    def ask(terms: Sequence[str]) -> None:
        searcher = index.searcher()
        parts = [(tantivy.Occur.Should, tantivy.Query.term_query(schema, "terms", term)) for term in terms]
        hits = searcher.search(tantivy.Query.boolean_query(parts), TOP).hits
        searcher.fast_field_values("row", [address for _, address in hits])

    asked = _asked(ask, pieces, queries, count)
    writer = index.writer(heap_size=50_000_000, num_threads=1)
    times = []
    for row, terms in enumerate(_documents(pieces, 100), start=count + 1):
        start = time.perf_counter()
        writer.add_document(_tantivy_document(tantivy, row, terms))
        writer.commit()
        index.reload()
        times.append(time.perf_counter() - start)
    return {"engine": "tantivy", **rate, **asked, "add_ms": _percentiles(times)}


def _tantivy_document(tantivy: Any, row: int, terms: Sequence[str]) -> Any:  # noqa: ANN401 - it has no types
    document = tantivy.Document()
    document.add_unsigned("row", row)
    document.add_text("terms", " ".join(terms))
    return document


def _loaded(
    folder: Path, pieces: Sequence[list[str]], count: int, detail: str
) -> tuple[apsw.Connection, dict[str, float]]:
    connection = apsw.Connection(str(folder / "store.sqlite"))
    connection.pragma("journal_mode", "wal")
    connection.pragma("cache_size", -65_536)
    connection.execute(FTS5.format(detail))
    start = time.perf_counter()
    with connection:
        rows = ((row, " ".join(terms)) for row, terms in enumerate(_documents(pieces, count), start=1))
        connection.executemany("INSERT INTO words (rowid, terms) VALUES (?, ?)", rows)
    seconds = time.perf_counter() - start
    connection.pragma("wal_checkpoint(TRUNCATE)")
    return connection, {"rows_per_second": count / seconds, "bytes_per_row": _size(folder) / count}


def _added(connection: apsw.Connection, count: int) -> dict[str, Any]:
    """One document, acknowledged durably."""
    connection.pragma("synchronous", "full")
    times = []
    for row in range(count + 1, count + 201):
        start = time.perf_counter()
        with connection:
            connection.execute("INSERT INTO words (rowid, terms) VALUES (?, ?)", (row, f"{row:x} {row // 7:x}"))
        times.append(time.perf_counter() - start)
    return {"add_ms": _percentiles(times)}


def _asked(
    ask: Callable[[Sequence[str]], None], pieces: Sequence[list[str]], queries: Sequence[list[str]], count: int
) -> dict[str, Any]:
    held = Counter(term for terms in _documents(pieces, 20_000) for term in set(terms))
    limited = [_within_budget(terms, held, count / 20_000) for terms in queries]
    every = [_timed(ask, terms) for terms in queries[:30]]
    return {"every_word_ms": _percentiles(every), "budget_ms": _percentiles([_timed(ask, some) for some in limited])}


def _within_budget(terms: Sequence[str], held: Counter[str], scale: float) -> list[str]:
    kept: list[str] = []
    total = 0.0
    for term in sorted(set(terms), key=lambda term: held[term]):
        total += held[term] * scale
        if kept and total > BUDGET:
            break
        kept.append(term)
    return kept


def _timed(ask: Callable[[Sequence[str]], None], terms: Sequence[str]) -> float:
    start = time.perf_counter()
    ask(terms)
    return time.perf_counter() - start


def _percentiles(seconds: Sequence[float]) -> dict[str, float]:
    p50, p90 = np.percentile(np.array(seconds) * 1_000, [50, 90])
    return {"p50": round(float(p50), 2), "p90": round(float(p90), 2)}


def _documents(pieces: Sequence[list[str]], count: int) -> Iterator[list[str]]:
    draw = random.Random(1)
    for number in range(count):
        one, other = draw.choice(pieces), draw.choice(pieces)
        terms = one[: draw.randint(0, len(one))] + other[draw.randint(0, len(other)) :]
        yield [*terms, _hashed(f"code{number}")] if number % 3 == 0 else terms


def _pieces(folder: Path) -> Iterator[list[str]]:
    for document in read_documents([folder / "corpus.jsonl"]):
        terms = [_hashed(word) for word in ANALYSER.words(document.full_text)]
        yield from (terms[start : start + PIECE] for start in range(0, len(terms), PIECE))


def _queries(folder: Path) -> Iterator[list[str]]:
    for query in read_queries(folder / "queries.jsonl"):
        yield [_hashed(word) for word in ANALYSER.words(query.text)] or [_hashed("")]


def _hashed(word: str) -> str:
    return f"{term_id(word):x}"


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
