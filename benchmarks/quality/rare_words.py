"""Words that one document alone has, asked for as they stand: found among the first ten, by each kind of candidates.

    python benchmarks/quality/rare_words.py ../shared/data/scifact ../shared/data/wikiqa --model starter

Queries are drawn (seeded) from the words that exactly one document of a BEIR folder holds and that the model's
tokeniser breaks up: names, codes, formulas. The one document is the answer. Every index is built anew in a temporary
folder.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twinbert import Document, Retriever, SearchOptions, TwinEncoder
from twinbert.encoders.serving.words import WordAnalyser
from twinbert.retrieval import read_documents

SEARCHES = {
    "cosine": SearchOptions(rerank=False),
    "dense, reranked": SearchOptions(),
    "both": SearchOptions(candidates="both"),
}


def main() -> None:
    """Print a table, a row a collection."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="starter")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    encoder = TwinEncoder.from_pretrained(arguments.model, threads=2)
    rows = {folder.name: _row(folder, encoder, arguments.queries) for folder in arguments.folders}
    print(f"| R@10 | words | {' | '.join(SEARCHES)} | such as |\n|---|---|{'---|' * len(SEARCHES)}---|")
    for name, row in rows.items():
        figures = " | ".join(f"{row['R@10'][search]:.3f}" for search in SEARCHES)
        print(f"| {name} | {row['words']} | {figures} | {', '.join(row['examples'])} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(folder: Path, encoder: TwinEncoder, count: int) -> dict[str, object]:
    documents = list(read_documents([folder / "corpus.jsonl"]))
    owners = _rare_words(documents, encoder)
    words = random.Random(0).sample(sorted(owners), min(count, len(owners)))
    with (
        tempfile.TemporaryDirectory() as temporary,
        Retriever.build(Path(temporary) / "index", documents, encoder) as retriever,
    ):
        found = {
            name: _found(retriever, words, [owners[word] for word in words], options)
            for name, options in SEARCHES.items()
        }
    return {"words": len(words), "R@10": found, "examples": words[:4]}


def _rare_words(documents: Sequence[Document], encoder: TwinEncoder) -> dict[str, str]:
    """Each word that one document alone holds and the model does not know whole, with that document's id."""
    analyser, owners = WordAnalyser(), dict[str, str | None]()
    for document in documents:
        for word in set(analyser.words(document.full_text)):
            owners[word] = None if word in owners else document.id
    return {word: owner for word, owner in owners.items() if owner is not None and encoder.unfamiliar(word) == 1}


def _found(retriever: Retriever, words: Sequence[str], owners: Sequence[str], options: SearchOptions) -> float:
    rankings = retriever.search_many(words, 10, options, payloads=False)
    hits = [owner in {hit.id for hit in one.hits} for one, owner in zip(rankings, owners, strict=True)]
    return sum(hits) / len(hits)


if __name__ == "__main__":
    main()
