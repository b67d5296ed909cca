r"""Tune a model on one collection with several seeds: what it gains there, and what the others lose.

    twinbert model import all-MiniLM-L6-v2/ minilm
    python benchmarks/quality/tuning.py minilm OUT --data ../shared/data --tune wikiqa --report dev \
        --others scifact:dev cranfield:test nfcorpus_stripped:dev --seeds 0 1 2 3 4 --general general.txt

The gain is the mean over questions of the ROC-AUC of the served cosine over a question's judged documents; the loss is
that of nDCG@10 by exact cosine over whole collections. Judgements of ``--report`` and ``--others`` are read after a
model is written, and decide nothing. OUT keeps models and figures: what is done already is not done again. It writes
``tuning.json`` and ``tuning.md``. A general set (docs/training.md): texts from benchmarks/starter/collect.py.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from twinbert.cli.tune_data import read_domain, read_general
from twinbert.encoders import ModelFolder, TwinEncoder
from twinbert.encoders.config import read_config, write_config
from twinbert.encoders.hub import copy_model
from twinbert.encoders.training.measures import grouped_auc
from twinbert.encoders.training.recipe import parse_change
from twinbert.encoders.training.tune import TuneData, tune
from twinbert.encoders.training.tune_options import read_options
from twinbert.eval import Qrels, Run, judge, parse_measures, read_judged_texts, read_qrels
from twinbert.retrieval import read_documents, read_queries

AUC = "AUC by question"
Figures = dict[str, float]


def main() -> None:
    """Tune with every seed, measure, write the table."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    before = _measured(arguments.model, arguments.out / "before.json", arguments)
    rows = [_row(seed, before, arguments) for seed in arguments.seeds]
    (arguments.out / "tuning.json").write_text(json.dumps({"before": before, "seeds": rows}, indent=2) + "\n")
    table = "\n".join(_table(before, rows)) + "\n"
    (arguments.out / "tuning.md").write_text(table, encoding="utf-8")
    print(table)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="model folder with its fp32 weights")
    parser.add_argument("out", type=Path, help="folder for models and figures")
    parser.add_argument("--data", type=Path, required=True, help="where the collections are")
    parser.add_argument("--tune", nargs="+", default=["wikiqa"], help="collections to learn from, by their train split")
    parser.add_argument("--report", default="dev", help="split of the first one that is measured")
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME:SPLIT")
    parser.add_argument("--general", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--document-tokens", type=int, help="tokens read of a document when measuring; the model's own")
    parser.add_argument("--set", dest="changes", action="append", default=[], metavar="NAME=VALUE")
    return parser.parse_args()


def _row(seed: int, before: Figures, arguments: argparse.Namespace) -> dict[str, Any]:
    """One seed's model, made where it is not there yet, and its figures."""
    model = arguments.out / f"seed-{seed}"
    if not model.exists():
        given = {name: value for change in arguments.changes for name, value in parse_change(change).items()}
        domains = [read_domain(arguments.data / name) for name in arguments.tune]
        learned = [dataclasses.replace(domain, reported=()) for domain in domains]
        general = read_general(arguments.general) if arguments.general else ()
        begun = time.process_time()
        tune(arguments.model, TuneData(learned, general), model, read_options(given | {"seed": seed}))
        (arguments.out / f"seed-{seed}.cpu").write_text(str(time.process_time() - begun), encoding="utf-8")
    report = json.loads((model / "tune.json").read_text(encoding="utf-8"))
    after = _measured(model, arguments.out / f"seed-{seed}.json", arguments)
    seconds = report["seconds"]
    return {
        "seed": seed,
        "blend": report["blend"],
        "held_out_gain": report["chosen"]["after"] - report["chosen"]["before"],
        "drift": report["drift"],
        "minutes": sum(value for name, value in seconds.items() if name != "export") / 60,
        "export_seconds": seconds["export"],
        "cpu_minutes": float((arguments.out / f"seed-{seed}.cpu").read_text(encoding="utf-8")) / 60,
        "after": after,
        "change": {name: after[name] - before[name] for name in before},
    }


def _measured(model: Path, path: Path, arguments: argparse.Namespace) -> Figures:
    """Every figure of one model; those that ``path`` holds are read, each other is written as soon as it is there."""
    figures: Figures = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    wanted = [AUC, *arguments.others]
    if missing := [name for name in wanted if name not in figures]:
        encoder = _encoder(model, path.with_suffix(".cut"), arguments)
        for name in missing:
            collection, _, split = name.partition(":")
            first = arguments.data / arguments.tune[0]
            figures[name] = (
                _auc(encoder, first, arguments.report)
                if name == AUC
                else _ndcg(encoder, arguments.data / collection, split)
            )
            path.write_text(json.dumps(figures), encoding="utf-8")
    return {name: figures[name] for name in wanted}


def _encoder(model: Path, cut: Path, arguments: argparse.Namespace) -> TwinEncoder:
    """The served model, or a copy of it that reads less of a document."""
    if arguments.document_tokens is not None:
        if not cut.exists():
            copy_model(ModelFolder(model), cut)
        config = dataclasses.replace(read_config(ModelFolder(cut).config), document_tokens=arguments.document_tokens)
        write_config(config, ModelFolder(cut).config)
        model = cut
    return TwinEncoder.from_pretrained(model, threads=arguments.threads)


def _auc(encoder: TwinEncoder, folder: Path, split: str) -> float:
    pairs = list(read_judged_texts(folder, split))
    queries = _rows(encoder.encode_queries, [pair.query for pair in pairs])
    documents = _rows(encoder.encode_documents, [pair.document for pair in pairs])
    relevant = [int(pair.grade > 0) for pair in pairs]
    return grouped_auc([pair.query_id for pair in pairs], relevant, (queries * documents).sum(axis=1))


def _rows(encode: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str]) -> NDArray[np.float32]:
    """A vector for each text, equal texts encoded once."""
    distinct = list(dict.fromkeys(texts))
    places = {text: place for place, text in enumerate(distinct)}
    return encode(distinct)[[places[text] for text in texts]]


def _ndcg(encoder: TwinEncoder, folder: Path, split: str) -> float:
    """nDCG@10 by exact cosine over the whole collection."""
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
    documents = list(read_documents([folder / "corpus.jsonl"]))
    queries = [query for query in read_queries(folder / "queries.jsonl") if query.id in qrels]
    vectors = encoder.encode_documents([document.full_text for document in documents])
    scores = encoder.encode_queries([query.text for query in queries]) @ vectors.T
    run = {}
    for query, row in zip(queries, scores, strict=True):
        nearest = np.argsort(-row, kind="stable")[:10]
        run[query.id] = {documents[place].id: float(row[place]) for place in nearest}
    asked = Qrels({query.id: qrels[query.id] for query in queries})
    return float(judge(Run(run), asked, parse_measures(["nDCG@10"])).means["nDCG@10"])


def _table(before: Figures, rows: Sequence[dict[str, Any]]) -> list[str]:
    others = [name for name in before if name != AUC]
    head = ["", AUC, *(f"{name} nDCG@10" for name in others), "mean of others", "blend", "minutes", "CPU minutes"]
    lines = [_line(head), _line(["---"] * len(head))]
    lines.append(_line(["before", *(f"{before[name]:.3f}" for name in before), "", "", "", ""]))
    for row in rows:
        changes = [row["change"][name] for name in others]
        cells = [f"seed {row['seed']}", f"{row['after'][AUC]:.3f}", *(f"{change:+.4f}" for change in changes)]
        mean = f"{np.mean(changes):+.4f}" if changes else ""
        lines.append(_line([*cells, mean, f"{row['blend']:.2f}", f"{row['minutes']:.1f}", f"{row['cpu_minutes']:.1f}"]))
    if rows:
        means = [np.mean([row["change"][name] for row in rows]) for name in others]
        spread = (
            f"{np.mean([row['after'][AUC] for row in rows]):.3f} ± {np.std([row['after'][AUC] for row in rows]):.3f}"
        )
        overall = f"{np.mean(means):+.4f}" if means else ""
        lines.append(_line(["mean", spread, *(f"{mean:+.4f}" for mean in means), overall, "", "", ""]))
    return lines


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
