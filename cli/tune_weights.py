"""What a tuned model's scores are made of, fitted on the questions that it was not trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from ..encoders import TwinEncoder
from ..encoders.training.tune_data import Domain, TuneData, held_apart, joined
from ..encoders.training.tune_options import TuneOptions
from ..eval import Qrels
from ..eval.fitting import fit_to_collection, set_weights
from ..eval.weights import FittedWeights
from ..retrieval import Document, Query
from .threads import usable_threads

REPORT = "tune.json"


def fit_tuned_weights(folder: Path, data: TuneData, options: TuneOptions) -> dict[str, Any]:
    """Fit the weights of the model in ``folder`` on the first collection's held-out questions, and note them there.

    The model's vectors stay as they are. Gives what ``tune.json`` gains: the weights, and nDCG@10 before and after.
    """
    domain = data.domains[0]
    encoder = TwinEncoder.from_pretrained(folder, threads=usable_threads())
    documents = [Document(str(place), text) for place, text in enumerate(domain.documents)]
    queries, qrels = held_out(domain, data, options)
    fitted = fit_to_collection(encoder, documents, queries, qrels, seed=options.seed)
    set_weights(folder, fitted.weights)
    facts = _facts(fitted)
    path = folder / REPORT
    report = msgspec.json.decode(path.read_bytes(), type=dict[str, Any]) | facts
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return facts


def held_out(domain: Domain, data: TuneData, options: TuneOptions) -> tuple[list[Query], Qrels]:
    """The questions of ``domain``, the first one, that tuning with these options holds out, judged 1 or 0."""
    texts, learned, _ = joined(data.domains, options.pool, options.seed)
    _, apart = held_apart(learned, options.held_out, options.seed)
    place_of = {text: place for place, text in enumerate(domain.documents)}
    own = [question for question in apart if question.domain == 0]
    queries = [Query(str(question.query), texts.queries[question.query]) for question in own]
    rows = {}
    for question in own:
        places = [place_of[texts.documents[row]] for row in question.documents.tolist()]
        rows[str(question.query)] = dict(zip(map(str, places), question.relevant.astype(int).tolist(), strict=True))
    return queries, Qrels(rows)


def weights_row(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The fit as a row of the report's table."""
    before, after = facts["weights_ndcg"]
    return "held out, served nDCG@10, by weights", f"{before:.3f}", f"{after:.3f}", f"{after - before:+.3f}", ""


def told_weights(facts: Mapping[str, Any]) -> str:
    """The weights as ``--weights`` takes them."""
    return ",".join(f"{name}={value:g}" for name, value in facts["weights"].items())


def _facts(fitted: FittedWeights) -> dict[str, Any]:
    return {
        "weights": dataclasses.asdict(fitted.weights),
        "weights_ndcg": [round(fitted.before[0], 4), round(fitted.after[0], 4)],
    }
