"""What is served, judged: BM25, the model alone, and twinbert with each of its parts, weights by leave-one-domain-out.

    python benchmarks/quality/served.py --data ../shared/data --model starter --json starter.json
    python benchmarks/quality/served.py --data ../shared/data --model MINILM_AS_IMPORTED --json minilm.json

Every collection is a BEIR folder below ``--data``, one split of it judged. Its index is built once and kept below
``--cache``. Weights of a row "left out" are fitted on the other collections alone; "served" takes the model's own.
``own BM25`` are the index's own words (stemmed in the model's language), ``BM25`` is bm25s without a stemmer. Needs
``twinbert[eval]`` and bm25s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from judged import Collection, _bm25
from twinbert import EvidenceOptions, Retriever, SearchOptions, TwinEncoder, Weights
from twinbert.eval import JudgedPool, Run, fit_weights, judge, judged_pool, mean_ndcg, parse_measures

COLLECTIONS = (
    "cranfield:test",
    "scifact:dev",
    "nfcorpus_stripped:dev",
    "wikiqa:dev",
    "xquad_de:test",
    "xquad_zh:test",
)
MEASURES = ("nDCG@10", "R@100")
UNFAMILIAR = (0.0, 1.0, 2.0, 3.0)
DEPTH = 100


def main() -> None:
    """Run the benchmark as the command line says."""
    arguments = _arguments()
    encoder = TwinEncoder.from_pretrained(arguments.model, threads=arguments.threads)
    collections = {name: Collection.read(str(arguments.data / name), "test") for name in arguments.collections}
    retrievers = {name: _index(one, encoder, arguments.cache) for name, one in collections.items()}
    pools = {name: judged_pool(retrievers[name], one.queries, one.qrels) for name, one in collections.items()}
    rows = [_row(name, collections[name], retrievers[name], pools) for name in collections]
    everywhere = fit_weights(list(pools.values()), encoder.weights, unfamiliar=UNFAMILIAR).weights
    _print(rows, everywhere)
    if arguments.json:
        found = {"model": arguments.model, "rows": rows, "weights of all": asdict(everywhere)}
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("collections", nargs="*", default=COLLECTIONS, metavar="NAME:SPLIT")
    parser.add_argument("--data", type=Path, required=True, help="folder of BEIR folders")
    parser.add_argument("--model", default="starter")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/.cache/quality"))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _index(collection: Collection, encoder: TwinEncoder, cache: Path) -> Retriever:
    """The collection's index, built where it is not there; named by all that shapes it."""
    path = cache / f"{collection.name.split()[0]}-{encoder.space[:12]}-{encoder.config.language}.index"
    if not path.exists():
        print(f"building {path.name}", file=sys.stderr)
        Retriever.build(path, collection.documents, encoder, evidence=EvidenceOptions(), overwrite=True).close()
    return Retriever.open(path, encoder)


def _row(
    name: str, collection: Collection, retriever: Retriever, pools: Mapping[str, Sequence[JudgedPool]]
) -> dict[str, Any]:
    """Every system's figures on one collection."""
    own = retriever.weights
    fitted = fit_weights([pool for other, pool in pools.items() if other != name], own, unfamiliar=UNFAMILIAR).weights
    no_words = replace(own, lexical=0.0)
    searches = {
        "model alone": SearchOptions(rerank=False, exact=True),
        "own BM25": SearchOptions(rerank=False, candidates="lexical", depth=DEPTH),
        "+ segments": SearchOptions(depth=DEPTH, weights=replace(no_words, head=0.0)),
        "+ lexical": SearchOptions(depth=DEPTH, weights=replace(own, segments=0.0, head=0.0)),
        "served": SearchOptions(depth=DEPTH),
        "served, both": SearchOptions(depth=DEPTH, candidates="both"),
        "left out": SearchOptions(depth=DEPTH, weights=fitted),
        "left out, both": SearchOptions(depth=DEPTH, candidates="both", weights=fitted),
    }
    found = {system: _judged(collection, retriever, options) for system, options in searches.items()}
    bm25 = _bm25(collection)
    return {
        "collection": name,
        "BM25": {measure: bm25[measure] for measure in MEASURES},
        **found,
        "left-out weights": asdict(fitted),
        "best of all, by pool": mean_ndcg(pools[name], fit_weights([pools[name]], own).weights),
    }


def _judged(collection: Collection, retriever: Retriever, options: SearchOptions) -> dict[str, float]:
    rankings = retriever.search_many(collection.queries, DEPTH, options, payloads=False)
    means = judge(Run.from_rankings(rankings), collection.qrels, parse_measures(MEASURES)).means
    return {measure: means[measure] for measure in MEASURES}


def _print(rows: Sequence[Mapping[str, Any]], everywhere: Weights) -> None:
    """Markdown: a table a measure, and the bars of issue 5."""
    systems = [name for name in rows[0] if isinstance(rows[0][name], dict) and name != "left-out weights"]
    for measure in MEASURES:
        print(f"\n| {measure} | {' | '.join(systems)} |\n|---|{'---|' * len(systems)}")
        for row in rows:
            print(f"| {row['collection']} | {' | '.join(f'{row[system][measure]:.3f}' for system in systems)} |")
        means = [np.mean([row[system][measure] for row in rows]) for system in systems]
        print(f"| mean | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    for system in ("served", "served, both", "left out", "left out, both"):
        gains = [row[system]["nDCG@10"] - max(row[peer]["nDCG@10"] for peer in ("BM25", "model alone")) for row in rows]
        print(
            f"\n{system}: against the better of BM25 and the model alone {np.mean(gains):+.3f}, least {min(gains):+.3f}"
        )
    print("\nleft-out weights:", *[_told(row["left-out weights"]) for row in rows], sep="\n  ")
    print("weights of all collections:", _told(asdict(everywhere)))


def _told(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in weights.items())


if __name__ == "__main__":
    main()
