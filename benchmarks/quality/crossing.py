"""The residual crossing's gain against the number of teacher-scored short pairs it is trained on.

    python benchmarks/starter/thaw.py encoders/starter THAWED
    python benchmarks/quality/crossing.py scored.jsonl RESULTS --start THAWED --data ../shared/data

scored.jsonl is ``crossing_pairs.py``'s output with a teacher's scores (``crossing_teacher.py``,
``crossing_score.py``). Its first groups are kept for testing, the next ones for choosing the share λ of the head that
is served, by the AUC against the teacher, zero allowed. For each number of pairs towers and head are trained together,
the head from zero; every figure compares what is served with the cosine of the same student. RESULTS gets a student's
weights and its figures in one file each; what is there is not done again, a run that was stopped is done anew.

``--data`` is the folder of the judged collections: WikiQA's questions of the fold that the teacher has not seen (its
own candidates), and, on titles alone, scifact dev and cranfield test (the cosine's first 100
candidates).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "distillation"))

from crossing_measures import Floats, Parts, Scorer, chosen_share, pair_measures, question_measures
from crossing_runs import FORMS, Run, ScoredGroups, trained
from folds import judged_pairs
from twinbert.encoders import ModelFolder
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.eval import read_qrels
from twinbert.retrieval import read_documents, read_queries

TESTED, CHOSEN_BY = 300, 200
"""Groups kept for testing and for choosing λ."""
UNSEEN_FOLD = 1
TITLES = ("scifact:dev", "cranfield:test")
KEPT = 100
START = 0
SIZES = (START, 1_000, 3_000, 10_000, 30_000, 100_000)


def main() -> None:
    """Do every run that is not done."""
    arguments = _arguments()
    torch.set_num_threads(1)
    arguments.results.mkdir(parents=True, exist_ok=True)
    scored = ScoredGroups.of([json.loads(line) for line in arguments.scored.open(encoding="utf-8")])
    groups = len(scored.groups)
    training = scored.part(TESTED + CHOSEN_BY, groups)
    print(f"{len(training.pairs)} pairs to train on, {len(scored.pairs) - len(training.pairs)} held out", flush=True)
    for run in runs(len(training.pairs), arguments.forms, arguments.sizes):
        target = arguments.results / f"{run.name}.json"
        if not target.exists():
            student = trained(run, training, arguments.start, arguments.results)
            config = student.towers.config
            tokenizers = {side: tokenizer_of(config, side, arguments.start.tokenizer) for side in ("query", "document")}
            figures = measured(Scorer(student, tokenizers), scored.part(0, TESTED + CHOSEN_BY), arguments.data)
            told = {"form": run.form, "pairs": run.pairs, "epochs": run.epochs, **figures}
            target.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
            print(f"{run.name}: {_short(figures)}", flush=True)


def runs(available: int, forms: list[str], sizes: list[int]) -> Iterator[Run]:
    """The start, the paper's head and the control by rising number of pairs, then other forms with the most pairs."""
    if START in sizes:
        yield Run("cosine", START)
    most = available // 16 * 16
    numbers = sorted({min(size, most) for size in sizes if size != START})
    for number in numbers:
        yield from (Run(form, number) for form in ("max", "cosine") if form in forms)
    yield from (Run(form, numbers[-1]) for form in forms if form not in {"max", "cosine"} and numbers)


def measured(scorer: Scorer, held_out: ScoredGroups, data: Path) -> dict[str, Any]:
    """All figures of one student."""
    test, choice = held_out.part(0, TESTED), held_out.part(TESTED, TESTED + CHOSEN_BY)
    share = chosen_share(scorer.groups(_texts(choice)), _values(choice, "score"))
    pairs = pair_measures(scorer.groups(_texts(test)), share, _values(test, "label"), _values(test, "score"), 16)
    judged = {"wikiqa": question_measures(list(sentences(scorer, data / "wikiqa", share)), auc=True)}
    for name in TITLES:
        judged[f"{name} titles"] = question_measures(list(titles(scorer, data, name, share)), auc=False)
    return {"share": share, "scale": scorer.student.cosine.scale.item(), "held out": pairs, "judged": judged}


def _texts(scored: ScoredGroups) -> list[tuple[list[str], list[str]]]:
    """The four queries and four sentences of each group."""
    groups = [[scored.pairs[place] for place in group] for group in scored.groups]
    return [([pair["query"] for pair in own[::4]], [pair["document"] for pair in own[:4]]) for own in groups]


def _values(scored: ScoredGroups, field: str) -> Floats:
    return np.array([pair[field] for pair in scored.pairs], dtype=np.float64)


def sentences(scorer: Scorer, folder: Path, share: float) -> Iterator[tuple[Floats, Floats]]:
    """Grades and scores of the judged sentences of WikiQA's questions that the teacher has not seen."""
    pairs = [pair for pair in judged_pairs(folder, ("train", "dev")) if pair.fold == UNSEEN_FOLD]
    questions = [list(own) for _, own in groupby(pairs, key=lambda pair: pair.query_id)]
    mixed = [own for own in questions if len({pair.label for pair in own}) == 2]
    parts = scorer.groups([([own[0].query], [pair.document for pair in own]) for own in mixed])
    start = 0
    for own in mixed:
        grades = np.array([pair.label for pair in own], dtype=np.float64)
        yield grades, parts.some(slice(start, start + len(own))).three(share)
        start += len(own)


def titles(scorer: Scorer, data: Path, name: str, share: float) -> Iterator[tuple[Floats, Floats]]:
    """Grades and scores of the cosine's first candidates among a collection's titles, for each judged query."""
    folder, _, split = name.partition(":")
    qrels = read_qrels(data / folder / "qrels" / f"{split}.tsv")
    documents = list(read_documents([data / folder / "corpus.jsonl"]))
    queries = [query for query in read_queries(data / folder / "queries.jsonl") if query.id in qrels]
    against = scorer.vectors("document", [document.title or document.text for document in documents])
    asked = scorer.vectors("query", [query.text for query in queries])
    for query, vector in zip(queries, asked, strict=True):
        parts = Parts(*(part[0] for part in scorer.parts(vector[None], against)), scorer.pure)
        top = np.argsort(-parts.cosine, kind="stable")[:KEPT]
        grades = np.array([qrels[query.id].get(document.id, 0) for document in documents], dtype=np.float64)
        missed = np.delete(grades, top)
        missed = missed[missed > 0]  # relevant but no candidates: they count in the ideal order alone
        three = np.pad(parts.some(top).three(share), ((0, 0), (0, len(missed))), constant_values=-np.inf)
        yield np.concatenate([grades[top], missed]), three


def _short(figures: dict[str, Any]) -> str:
    found = figures["held out"]["AUC, teacher"]
    return f"λ {figures['share']}, AUC {found['cosine']:.4f} → {found['served']:.4f}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--start", type=lambda name: ModelFolder(Path(name)), required=True, help="a model folder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--forms", nargs="+", choices=list(FORMS), default=list(FORMS))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    return parser.parse_args()


if __name__ == "__main__":
    main()
