"""How the search effort of an index is told: one line after a build, a table of points when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .output import note, print_columns, print_line

if TYPE_CHECKING:
    from ..index import OperatingPoint, Tuning

FEW = 100
"""Queries below which the interval of a recall is too wide to say much."""


def note_tuning(index_key: str, tuning: Tuning, source: str) -> None:
    """Say what effort was chosen, what it found, and plainly where the target is out of reach.

    source: what it was tuned with.
    """
    note(f"{effort(index_key, tuning.chosen)}: {found(tuning)}, tuned with {tuning.queries} {source}")
    if not tuning.met:
        note(f"note: {shortfall(tuning)}")


def print_tuning(index_key: str, tuning: Tuning) -> None:
    """Write the operating points that were measured, the chosen one marked."""
    source = "perturbed documents, for want of queries" if tuning.proxy else "queries"
    print_line(f"\nsearch effort, tuned with {tuning.queries} {source}: {found(tuning)}")
    if not tuning.met:
        print_line(shortfall(tuning))
    rows = [[name_of(index_key), "rescored", f"recall@{tuning.k}", "95 % interval", "ms", ""]]
    for point in tuning.points:
        interval = f"{point.low:.4f}–{point.high:.4f}"
        chosen = "chosen" if point == tuning.chosen else ""
        facts = [f"{point.visits}", f"{point.refine}x", f"{point.recall:.4f}", interval, f"{point.p50_ms:.3f}"]
        rows.append([*facts, chosen])
    print_columns(rows)


def found(tuning: Tuning) -> str:
    """Recall with its interval, and latency, of the chosen point."""
    point = tuning.chosen
    recall = f"finds {point.recall:.1%} ({point.low:.1%} to {point.high:.1%}) of the true {tuning.k} nearest"
    return f"{recall} in {point.p50_ms:.2f} ms, target {tuning.target:.1%}"


def shortfall(tuning: Tuning) -> str:
    """What is said where no effort meets the target, and what can be done."""
    few = f"; {tuning.queries} queries leave a wide interval, so give more" if tuning.queries < FEW else ""
    return (
        f"the target recall {tuning.target:.1%} at {tuning.k} is not met by any search effort: build with a finer "
        f"--index-key (HNSW64, or Flat for exact search), or search with --exact{few}"
    )


def effort(index_key: str, point: OperatingPoint) -> str:
    """One operating point in words: ``efSearch 128``, or ``nprobe 16, 4 times as many scored again``."""
    again = f", {point.refine} times as many scored again" if point.refine > 1 else ""
    return f"{name_of(index_key)} {point.visits}{again}"


def name_of(index_key: str) -> str:
    """What the effort of an index is called."""
    return "nprobe" if "IVF" in index_key else "efSearch"
