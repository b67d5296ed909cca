"""How long a text to read, and which segments to keep: quality by leave-one-domain-out, bytes, encoding time, latency.

    python benchmarks/quality/lengths.py --data ../shared/data --model starter --json lengths.json

A variant is ``TOKENS:SEGMENTSxWORDS``; every collection is indexed anew for each. The share of segments, and the weight
of words, are fitted on the other collections; "cosine" rows leave words out. Bytes are of segments alone, a document on
average; seconds of encoding all of it; milliseconds of a query after its encoding, the median over all queries.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from judged import Collection
from twinbert import EvidenceOptions, Retriever, SearchOptions, TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import read_config, write_config
from twinbert.eval import JudgedPool, fit_weights, judged_pool, mean_ndcg

COLLECTIONS = ("cranfield:test", "scifact:dev", "nfcorpus_stripped:dev", "wikiqa:dev", "xquad_de:test")
VARIANTS = ("128:0x30", "128:4x30", "256:0x30", "256:4x30", "256:6x30", "256:3x60")


@dataclass(frozen=True)
class Found:
    """One variant on one collection."""

    pool: list[JudgedPool]
    seconds: float
    bytes: float
    milliseconds: float


def main() -> None:
    """Run every variant on every collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS, metavar="NAME:SPLIT")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--variants", nargs="+", default=VARIANTS, metavar="TOKENS:SEGMENTSxWORDS")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    collections = {name: Collection.read(str(arguments.data / name), "test") for name in arguments.collections}
    rows = []
    for variant in arguments.variants:
        found = {name: _measured(one, arguments.model, variant) for name, one in collections.items()}
        rows.append(_row(variant, found))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    _print(rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def _measured(collection: Collection, model: str, variant: str) -> Found:
    tokens, _, cut = variant.partition(":")
    segments, words = map(int, cut.split("x"))
    options = EvidenceOptions(segments=segments, segment_words=words)
    with tempfile.TemporaryDirectory() as folder:
        encoder = _cut(model, int(tokens), Path(folder) / "model")
        start = time.perf_counter()
        with Retriever.build(Path(folder) / "index", collection.documents, encoder, evidence=options) as retriever:
            seconds = time.perf_counter() - start
            pool = judged_pool(retriever, collection.queries, collection.qrels)
            parts = sum(path.stat().st_size for path in (Path(folder) / "index").rglob("parts.npy"))
            return Found(pool, seconds, parts / len(collection.documents), _latency(retriever, collection))


def _cut(model: str, tokens: int, folder: Path) -> TwinEncoder:
    """The model, reading so many tokens of a document: another vector space."""
    source = TwinEncoder.from_pretrained(model).folder.root
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    path = ModelFolder(folder).config
    config = read_config(path)
    write_config(replace(config, document_tokens=tokens, space=f"{config.space}-{tokens}"), path)
    return TwinEncoder.from_pretrained(folder, threads=2)


def _latency(retriever: Retriever, collection: Collection) -> float:
    texts = [query.text for query in collection.queries[:200]]
    vectors = dict(zip(texts, retriever.encoder.encode_queries(texts), strict=True))
    retriever.encoder.encode_queries = lambda asked: np.stack([vectors[text] for text in asked])  # type: ignore[method-assign]
    times = []
    for text in texts:
        start = time.perf_counter()
        retriever.search(text, 10, SearchOptions(depth=100))
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1_000


def _row(variant: str, found: Mapping[str, Found]) -> dict[str, Any]:
    """Quality of each collection by weights that were fitted on the others, with and without words."""
    base = TwinEncoder.from_pretrained().weights
    scores: dict[str, dict[str, float]] = {"cosine": {}, "words": {}}
    shares = []
    for name, one in found.items():
        others = [other.pool for key, other in found.items() if key != name]
        fitted = fit_weights(others, replace(base, head=0.0)).weights
        shares.append(fitted.segments)
        scores["words"][name] = mean_ndcg(one.pool, fitted)
        scores["cosine"][name] = mean_ndcg(one.pool, _best_share(others, replace(base, lexical=0.0, head=0.0)))
    return {
        "variant": variant,
        **scores,
        "shares": shares,
        "bytes": float(np.mean([one.bytes for one in found.values()])),
        "seconds": sum(one.seconds for one in found.values()),
        "milliseconds": float(np.median([one.milliseconds for one in found.values()])),
    }


def _best_share(pools: Sequence[Sequence[JudgedPool]], base: Any) -> Any:  # noqa: ANN401 - Weights
    options = [replace(base, segments=share / 10) for share in range(6)]
    return max(options, key=lambda weights: np.mean([mean_ndcg(pool, weights) for pool in pools]))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(rows[0]["words"])
    print(f"| variant | by | {' | '.join(names)} | mean | segments' share | bytes | encoding s | ms |")
    print(f"|---|---|{'---|' * len(names)}---|---|---|---|---|")
    for row in rows:
        for kind in ("cosine", "words"):
            figures = " | ".join(f"{row[kind][name]:.3f}" for name in names)
            mean = np.mean(list(row[kind].values()))
            shares = "–".join(f"{share:.1f}" for share in sorted({min(row["shares"]), max(row["shares"])}))
            costs = f"{row['bytes']:.0f} | {row['seconds']:.0f} | {row['milliseconds']:.2f}"
            print(f"| {row['variant']} | {kind} | {figures} | {mean:.3f} | {shares} | {costs} |")


if __name__ == "__main__":
    main()
