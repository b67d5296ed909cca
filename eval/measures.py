"""Judged measures by ir_measures: nDCG, R, RR, AP and their kin, from qrels and a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import InvalidInputError, MissingExtraError
from .qrels import Qrels
from .runs import Run


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure: its canonical name (``MRR@10`` is ``RR@10``), its cutoff if it has one, ir_measures' own object."""

    name: str
    cutoff: int | None
    native: Any


@dataclass(frozen=True, slots=True)
class Judged:
    """What the measures say of a run.

    means: measure → mean over every query of the qrels; a query without results counts 0.
    per_query: query id → {measure → value}, for every query of the qrels.
    unjudged: queries of the run that the qrels do not know, left out of the means.
    """

    means: Mapping[str, float]
    per_query: Mapping[str, Mapping[str, float]]
    unjudged: int


def parse_measures(names: Sequence[str]) -> tuple[Measure, ...]:
    """Understand measures in ir_measures' own syntax, such as ``nDCG@10``, ``R(rel=2)@100`` or ``AP``.

    Taken are those that its two in-process providers compute (trec_eval's measures and RR with a cutoff), so a
    value does not depend on what else is installed. The same measure twice is one.

    Raises InvalidInputError naming every bad one together; MissingExtraError without ir_measures.
    """
    library = _library()
    parsed = {name: _parse(library, name) for name in names}
    bad = [name for name, measure in parsed.items() if measure is None]
    if bad:
        raise InvalidInputError(
            f"cannot measure {', '.join(map(repr, bad))}: write measures as ir_measures does, "
            "with cutoffs from 1, such as nDCG@10, R@100, RR@10 or AP"
        )
    return tuple({measure.name: measure for measure in parsed.values() if measure}.values())


def judge(run: Run, qrels: Qrels, measures: Sequence[Measure]) -> Judged:
    """Judge a run. Documents keep the run's order exactly, whichever provider computes a measure.

    A document that is its own query's id is judged like any other (BEIR's loader drops it).

    Raises InvalidInputError when the qrels hold no query; MissingExtraError without ir_measures.
    """
    if not qrels:
        raise InvalidInputError("the qrels hold no query: there is nothing to judge by")
    natives = [measure.native for measure in measures]
    calculated = _pipeline(_library()).calc(natives, _plain(qrels), _positions(run))
    values: dict[str, dict[str, float]] = {query: {} for query in qrels}
    for query, measure, value in calculated.per_query:
        if query in values:
            values[query][str(measure)] = float(value)
    means = {measure.name: float(calculated.aggregated[measure.native]) for measure in measures}
    in_order = {query: {measure.name: row[measure.name] for measure in measures} for query, row in values.items()}
    return Judged(means, in_order, sum(query not in qrels for query in run))


def _positions(run: Run) -> dict[str, dict[str, float]]:
    """Scores that fall by 1 a rank: providers break ties each in their own way, so they are given none."""
    return {query: {name: float(len(row) - place) for place, name in enumerate(row)} for query, row in run.items()}


def _plain(qrels: Qrels) -> dict[str, dict[str, int]]:
    return {query: dict(row) for query, row in qrels.items()}


def _library() -> Any:  # noqa: ANN401  ir_measures is typed in name only
    try:
        return import_module("ir_measures")
    except ModuleNotFoundError:
        raise MissingExtraError("judged measures", "eval") from None


def _pipeline(library: Any) -> Any:  # noqa: ANN401
    return library.providers.FallbackProvider([library.pytrec_eval, library.msmarco])


def _parse(library: Any, name: str) -> Measure | None:  # noqa: ANN401
    """The measure, or None when it is unknown, not provided, or refused on a trial of one query."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # its parser uses ast.Num, deprecated in 3.12
            native = library.parse_measure(name)
        cutoff = native.params.get("cutoff")
        if cutoff is not None and (type(cutoff) is not int or cutoff < 1):
            return None  # trec_eval ends the process at a cutoff of 0
        _pipeline(library).calc([native], {"query": {"document": 1}}, {"query": {"document": 1.0}})
    except (ValueError, NameError, TypeError, KeyError, AssertionError):
        return None
    return Measure(str(native), cutoff, native)
