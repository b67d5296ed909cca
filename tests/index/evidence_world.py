"""Texts with evidence: words as terms, sentences as parts; and plain Python as the oracle of what is counted."""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from index_world import DIMENSION, key, named, records, vectors
from twinbert.index import (
    BuildOptions,
    ChangeReport,
    Condition,
    Evidence,
    EvidenceSchema,
    Index,
    IndexSchema,
    QueryTerms,
    Writer,
)

WIDTH = 3
EVIDENCE = EvidenceSchema(note='{"words":"split"}', part_width=WIDTH)
SCHEMA = IndexSchema(space="with evidence", dimension=DIMENSION, model="none", evidence=EVIDENCE)


def term(word: str) -> int:
    return zlib.crc32(word.encode())


def counts(text: str) -> dict[int, int]:
    """How often each term comes, ascending."""
    return dict(sorted(Counter(term(word) for word in text.split()).items()))


def part(sentence: str) -> list[int]:
    return [byte - 128 for byte in key(sentence)[:WIDTH]]


def parts(text: str) -> list[list[int]]:
    return [part(sentence) for sentence in text.split(".")[1:]]


def evidence(texts: Iterable[str]) -> Evidence:
    counted, made = [counts(text) for text in texts], [parts(text) for text in texts]
    return Evidence(
        np.cumsum([0, *map(len, counted)]).astype(np.int64),
        np.array([name for one in counted for name in one], dtype=np.uint32),
        np.array([times for one in counted for times in one.values()], dtype=np.uint16),
        np.cumsum([0, *map(len, made)]).astype(np.int64),
        np.array([row for one in made for row in one], dtype=np.int8).reshape(-1, WIDTH),
    )


def encode_pending(writer: Writer, dimension: int = DIMENSION) -> int:
    """Give every vector that is still needed, with its evidence. Returns how many."""
    done = 0
    for batch in writer.pending(batch_rows=3):
        texts = [text for _, text in batch]
        writer.put_vectors([name for name, _ in batch], vectors(texts, dimension), evidence(texts))
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
    with index.writer(replace=replace, sync=sync) as writer:
        writer.put(records(put or {}, SCHEMA.space))
        writer.delete(delete)
        planned = writer.plan()
        assert planned.to_encode == encode_pending(writer)
        return writer.commit(compact=compact)


def build(path: Path, documents: Mapping[str, str], options: BuildOptions | None = None) -> Index:
    index = Index.create(path, SCHEMA, options)
    change(index, documents, replace=True)
    return index


def asked(query: Mapping[str, float]) -> QueryTerms:
    return QueryTerms(np.array([term(word) for word in query], np.uint32), np.array([*query.values()], np.float32))


def best(documents: Mapping[str, str], query: Mapping[str, float], k: int) -> list[tuple[str, float]]:
    """The ``k`` best of the documents that hold a term of the query, by score and then by id."""
    scored = [(float(np.float32(score)), name) for name, score in bm25(documents, query).items() if score > 0]
    return [(name, score) for score, name in sorted(scored, reverse=True)[:k]]


def found(index: Index, query: Mapping[str, float], k: int, where: Condition | None = None) -> list[tuple[str, float]]:
    return named(index, index.search_terms([asked(query)], k, where))


def check_found(index: Index, documents: Mapping[str, str], query: Mapping[str, float], k: int) -> None:
    """The index finds what the oracle does."""
    got, wanted = found(index, query, k), best(documents, query, k)
    assert [name for name, _ in got] == [name for name, _ in wanted]
    assert [score for _, score in got] == pytest.approx([score for _, score in wanted], rel=1e-5)


def bm25(documents: Mapping[str, str], query: Mapping[str, float]) -> dict[str, float]:
    """Lucene's BM25 of every document, term by term."""
    counted = {name: counts(text) for name, text in documents.items()}
    lengths = {name: sum(one.values()) for name, one in counted.items()}
    mean = sum(lengths.values()) / max(len(lengths), 1)
    scores = dict.fromkeys(documents, 0.0)
    for word, weight in query.items():
        holding = [name for name, one in counted.items() if term(word) in one]
        rarity = math.log(1 + (len(documents) - len(holding) + 0.5) / (len(holding) + 0.5))
        for name in holding:
            times = counted[name][term(word)]
            scores[name] += weight * rarity * times / (times + 0.9 * (1 - 0.4 + 0.4 * lengths[name] / mean))
    return scores
