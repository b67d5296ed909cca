"""The curve of the residual crossing as a Markdown table and, with ``--plot``, as a picture.

    python benchmarks/quality/crossing_report.py RESULTS --plot crossing.svg

Every cell is a difference to the cosine of the same student with its 95 % bootstrap interval: of what is served with
the chosen share of the head, and with the whole head, which the picture shows. The picture needs ``matplotlib``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = {
    "AUC, teacher": ("held out", "AUC, teacher"),
    "AP, teacher": ("held out", "AP, teacher"),
    "AUC, structure": ("held out", "AUC, structure"),
    "AP, structure": ("held out", "AP, structure"),
    "wikiqa query AUC": ("judged", "wikiqa", "query AUC"),
    "wikiqa nDCG@10": ("judged", "wikiqa", "nDCG@10"),
    "scifact titles nDCG@10": ("judged", "scifact:dev titles", "nDCG@10"),
    "cranfield titles nDCG@10": ("judged", "cranfield:test titles", "nDCG@10"),
}
ORDER = ("cosine", "max", "product", "bottleneck", "pure")
DRAWN = ("AUC, teacher", "AP, teacher", "wikiqa query AUC", "scifact titles nDCG@10")


def main() -> None:
    """Print the tables, and draw the curve where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--plot", type=Path, help="picture to write; its suffix says in which format")
    arguments = parser.parse_args()
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in arguments.results.glob("*.json")]
    runs.sort(key=lambda run: (run["pairs"], ORDER.index(run["form"])))
    _print("cosine alone", runs, _level)
    headed = [run for run in runs if run["form"] != "cosine"]
    _print("served minus cosine", headed, _gain)
    _print("with the whole head, minus cosine", headed, _whole_gain)
    if arguments.plot:
        draw([run for run in runs if run["form"] == "max"], arguments.plot)


def _print(title: str, runs: list[dict[str, Any]], cell: Any) -> None:  # noqa: ANN401 - either of two functions
    print(f"\n**{title}**\n")
    print("| form | pairs | λ | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 3) + "|")
    for run in runs:
        share = {"pure": "–", "cosine": ""}.get(run["form"], f"{run['share']:g}")
        cells = [cell(_found(run, name)) for name in COLUMNS]
        print(f"| {run['form']} | {run['pairs']:,} | {share} | " + " | ".join(cells) + " |")


def _found(run: dict[str, Any], column: str) -> dict[str, float]:
    found: Any = run
    for key in COLUMNS[column]:
        found = found[key]
    return dict(found)


def _level(found: dict[str, float]) -> str:
    return f"{found['cosine']:.3f}"


def _gain(found: dict[str, float]) -> str:
    return f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}]"


def _whole_gain(found: dict[str, float]) -> str:
    return f"{found['whole difference']:+.4f} [{found['whole low']:+.4f}, {found['whole high']:+.4f}]"


def draw(runs: list[dict[str, Any]], target: Path) -> None:
    """Draw the gain of the paper's whole head against the number of pairs, with its intervals."""
    try:
        from matplotlib import pyplot
    except ImportError:
        sys.exit("error: matplotlib is missing: pip install matplotlib")
    figure, axes = pyplot.subplots(figsize=(7, 4))
    pairs = [run["pairs"] for run in runs]
    for column in DRAWN:
        found = [_found(run, column) for run in runs]
        (line,) = axes.plot(pairs, [one["whole difference"] for one in found], marker="o", label=column)
        axes.fill_between(
            pairs,
            [one["whole low"] for one in found],
            [one["whole high"] for one in found],
            color=line.get_color(),
            alpha=0.15,
        )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="teacher-scored pairs", ylabel="with the whole head, minus cosine")
    axes.legend()
    figure.tight_layout()
    figure.savefig(target)


if __name__ == "__main__":
    main()
