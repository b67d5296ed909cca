"""Texts, their vectors, and a dictionary as the oracle of an index; shared by the tests of this folder."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import apsw
import numpy as np
from twinbert.index import BuildOptions, Candidates, ChangeReport, Index, IndexSchema, Record, Writer

DIMENSION = 8
SCHEMA = IndexSchema(space="test", dimension=DIMENSION, model="none")


def key(text: str, space: str = "test") -> bytes:
    return hashlib.blake2b(f"{space}:{text}".encode(), digest_size=32).digest()


def vector(text: str, dimension: int = DIMENSION) -> np.ndarray:
    """A unit vector of few possible coordinates, so that different texts often score the same."""
    seed = int.from_bytes(key(text)[:8], "big")
    row = np.random.default_rng(seed).integers(-1, 2, dimension).astype(np.float64)
    row[seed % dimension] += 2
    return (row / np.linalg.norm(row)).astype(np.float32)


def vectors(texts: Iterable[str], dimension: int = DIMENSION) -> np.ndarray:
    return np.stack([vector(text, dimension) for text in texts])


def records(documents: Mapping[str, str], space: str = "test") -> list[Record]:
    return [Record(name, key(text, space), text) for name, text in documents.items()]


def encode_pending(writer: Writer, dimension: int = DIMENSION) -> int:
    """Do what retrieval does: give every vector that is still needed. Returns how many."""
    done = 0
    for batch in writer.pending(batch_rows=3):
        writer.put_vectors([name for name, _ in batch], vectors([text for _, text in batch], dimension))
        done += len(batch)
    return done


def change(
    index: Index,
    put: Mapping[str, str] | None = None,
    delete: Iterable[str] = (),
    *,
    replace: bool = False,
    sync: bool = False,
    compact: bool = False,
) -> ChangeReport:
    """Commit one command, which must do what was planned before a vector was encoded."""
    with index.writer(replace=replace, sync=sync) as writer:
        writer.put(records(put or {}))
        writer.delete(delete)
        planned = asdict(writer.plan())
        assert planned.pop("to_encode") == encode_pending(writer)
        report = writer.commit(compact=compact)
        assert planned == {name: getattr(report, name) for name in planned}
        return report


def build(path: Path, documents: Mapping[str, str], options: BuildOptions | None = None) -> Index:
    index = Index.create(path, SCHEMA, options)
    change(index, documents, replace=True)
    return index


def expected(documents: Mapping[str, str], query: str, k: int, dimension: int = DIMENSION) -> list[tuple[str, float]]:
    """The oracle: score everything in double precision, sort by score and then by id, cut to k."""
    wanted = vector(query, dimension).astype(np.float64)
    scores = {name: vector(text, dimension).astype(np.float64) @ wanted for name, text in documents.items()}
    scored = [(float(np.float32(score)), name) for name, score in scores.items()]
    return [(name, score) for score, name in sorted(scored, reverse=True)[:k]]


def named(index: Index, found: Candidates, place: int = 0) -> list[tuple[str, float]]:
    rows = found.rows[place][found.rows[place] >= 0]
    scores = found.scores[place][: len(rows)]
    return [(stored.id, float(score)) for stored, score in zip(index.stored(rows), scores, strict=True)]


def answers(index: Index, query: str, k: int, dimension: int = DIMENSION) -> list[tuple[str, float]]:
    return named(index, index.search(vectors([query], dimension), k))


def contents(index: Index) -> dict[str, str]:
    """Everything that is live, read by id."""
    names = list(index.ids())
    return {stored.id: stored.payload for stored in index.get(names) if stored is not None}


def clustered(seed: int, n: int, dimension: int = 32, clusters: int = 40) -> np.ndarray:
    """Unit vectors in clusters, as texts of some subjects have them."""
    generator = np.random.default_rng(seed)
    centres = generator.standard_normal((clusters, dimension))
    rows = centres[generator.integers(0, clusters, n)] + 0.6 * generator.standard_normal((n, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def put_rows(writer: Writer, matrix: np.ndarray, start: int = 0) -> None:
    """Stage a document for each row, named by its number from ``start`` on, with the row as its vector."""
    numbers = range(start, start + len(matrix))
    keys = [key(str(number)) for number in numbers]
    writer.put(Record(f"{number:05d}", name, "{}") for number, name in zip(numbers, keys, strict=True))
    writer.put_vectors(keys, matrix)


def build_vectors(path: Path, matrix: np.ndarray, options: BuildOptions, queries: np.ndarray | None = None) -> Index:
    index = Index.create(path, IndexSchema("s", matrix.shape[1], "m"), options)
    with index.writer(replace=True) as writer:
        put_rows(writer, matrix)
        if queries is not None:
            writer.tune_with(queries)
        writer.commit()
    return index


def recall(found: Candidates, right: Candidates) -> float:
    """k-recall@k of rows against the exact ones."""
    pairs = zip(found.rows, right.rows, strict=True)
    return float(np.mean([len(np.intersect1d(one, other)) / len(other) for one, other in pairs]))


def edit(folder: Path, statement: str) -> None:
    connection = apsw.Connection(str(folder / "store.sqlite"))
    connection.execute(statement)
    connection.close()
