"""Tables of a distillation grid: what teachers and students score held-out pairs, with paired intervals.

    python benchmarks/distillation/report.py RESULTS --scores SCORES [--against labels] [--json FILE]

Every figure is of pairs whose query the model was not trained on. ``query AUC``, ``MAP`` and ``nDCG@10`` are means over
queries, each over the query's own judged documents; ``AUC`` is pooled within a fold and averaged over the folds. The
interval is of the difference to ``--against`` over the same queries, by 2,000 bootstrap samples of the queries; of the
pooled AUC, the spread over folds is given instead.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from folds import FOLDS
from numpy.typing import NDArray
from twinbert.encoders.training.measures import roc_auc
from twinbert.eval import Qrels, Run, judge, parse_measures

SAMPLES = 2_000
BY_QUERY = ("query AUC", "MAP", "nDCG@10")


@dataclass(frozen=True)
class Scored:
    """Held-out pairs of one fold: ``(pairs,)`` each, and what some model scores them."""

    queries: Sequence[str]
    documents: Sequence[str]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Figures:
    """What a model's scores come to.

    auc: ``(folds,)`` pooled ROC-AUC. by_query: measure → query id → value. seconds: of training, a fold on average.
    """

    auc: NDArray[np.float64]
    by_query: Mapping[str, Mapping[str, float]]
    seconds: float


def main() -> None:
    """Print the tables that the command line asks for."""
    arguments = _arguments()
    figures = teachers(arguments.scores) | students(arguments.results)
    against = figures.get(arguments.against)
    rows = [_row(name, found, against) for name, found in figures.items()]
    header = [
        "model",
        "folds",
        "AUC",
        "query AUC",
        "MAP",
        "nDCG@10",
        "difference in query AUC",
        "in nDCG@10",
        "s a fold",
    ]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    if arguments.json:
        plain = {name: _plain(found) for name, found in figures.items()}
        arguments.json.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def teachers(folder: Path) -> dict[str, Figures]:
    """The teachers' figures on the folds that they have not seen."""
    folds = []
    for fold in range(FOLDS):
        path = folder / f"fold{fold}.jsonl"
        rows = [json.loads(line) for line in path.open(encoding="utf-8")] if path.exists() else []
        if held_out := [row for row in rows if row["fold"] == fold]:
            names = ("query_id", "document_id", "label", "score")
            folds.append(_scored(*([row[name] for row in held_out] for name in names)))
    return {"teacher": measure(folds, float("nan"))} if folds else {}


def students(folder: Path) -> dict[str, Figures]:
    """Every configuration's figures, by each of its crossings."""
    found = {}
    for configuration in sorted(path for path in folder.iterdir() if path.is_dir()):
        results = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(configuration.glob("fold*.json"))]
        seconds = float(np.mean([result["seconds"] for result in results])) if results else float("nan")
        for crossing in ("cosine", "residual"):
            folds = [
                _scored(*(result[name] for name in ("queries", "documents", "labels", crossing))) for result in results
            ]
            if folds:
                found[f"{configuration.name}, {crossing}"] = measure(folds, seconds)
    return found


def measure(folds: Sequence[Scored], seconds: float) -> Figures:
    """All figures of one model's folds."""
    names = parse_measures(["AP", "nDCG@10"])
    by_query: dict[str, dict[str, float]] = {name: {} for name in BY_QUERY}
    for fold in folds:
        grouped = _by_query(fold)
        for query, (_, labels, scores) in grouped.items():
            if 0 < labels.sum() < len(labels):
                by_query["query AUC"][query] = roc_auc(labels, scores)
        judged = judge(
            Run({query: dict(zip(ids, scores.tolist(), strict=True)) for query, (ids, _, scores) in grouped.items()}),
            Qrels({query: dict(zip(ids, labels.tolist(), strict=True)) for query, (ids, labels, _) in grouped.items()}),
            names,
        )
        for query, values in judged.per_query.items():
            by_query["MAP"][query], by_query["nDCG@10"][query] = values["AP"], values["nDCG@10"]
    return Figures(np.array([roc_auc(fold.labels, fold.scores) for fold in folds]), by_query, seconds)


def interval(ours: Mapping[str, float], theirs: Mapping[str, float]) -> tuple[float, float, float]:
    """Mean difference over the queries that both have, and its 95 % interval."""
    shared = sorted(ours.keys() & theirs.keys())
    differences = np.array([ours[query] - theirs[query] for query in shared])
    drawn = np.random.default_rng(0).integers(len(shared), size=(SAMPLES, len(shared)))
    low, high = np.quantile(differences[drawn].mean(axis=1), (0.025, 0.975))
    return float(differences.mean()), float(low), float(high)


def _scored(queries: Sequence[str], documents: Sequence[str], labels: Sequence[int], scores: Sequence[float]) -> Scored:
    return Scored(queries, documents, np.array(labels), np.array(scores, dtype=np.float64))


def _by_query(fold: Scored) -> dict[str, tuple[list[str], NDArray[np.int64], NDArray[np.float64]]]:
    places: dict[str, list[int]] = {}
    for place, query in enumerate(fold.queries):
        places.setdefault(query, []).append(place)
    return {
        query: ([fold.documents[place] for place in rows], fold.labels[rows], fold.scores[rows])
        for query, rows in places.items()
    }


def _row(name: str, found: Figures, against: Figures | None) -> list[str]:
    means = [f"{np.mean(list(found.by_query[measure].values())):.3f}" for measure in BY_QUERY]
    differences = ["", ""]
    if against is not None and against is not found:
        differences = [_difference(found, against, "query AUC"), _difference(found, against, "nDCG@10")]
    spread = (
        f"{found.auc.mean():.3f} ± {found.auc.std(ddof=1):.3f}" if len(found.auc) > 1 else f"{found.auc.mean():.3f}"
    )
    seconds = "" if np.isnan(found.seconds) else f"{found.seconds:.0f}"
    return [name, str(len(found.auc)), spread, *means, *differences, seconds]


def _difference(found: Figures, against: Figures, measure: str) -> str:
    mean, low, high = interval(found.by_query[measure], against.by_query[measure])
    return f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"


def _plain(found: Figures) -> dict[str, Any]:
    means = {name: float(np.mean(list(values.values()))) for name, values in found.by_query.items()}
    return {"AUC by fold": found.auc.tolist(), **means, "queries": len(found.by_query["MAP"]), "seconds": found.seconds}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="what grid.py wrote")
    parser.add_argument("--scores", type=Path, required=True, help="the teachers' scores")
    parser.add_argument("--against", default="labels, residual", help="the model that differences are taken to")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
