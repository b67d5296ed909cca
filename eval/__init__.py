"""Judges rankings: qrels and runs, measures, ANN recall against exact search, loss by stage, latency."""

from .ann import k_recall
from .evaluation import EvaluateOptions, evaluate
from .judged_texts import JudgedText, read_judged_texts
from .latency import Latency
from .measures import Judged, Measure, judge, parse_measures
from .qrels import Qrels, read_qrels
from .report import Evaluation, Stage
from .runs import Run, read_run, run_lines, write_run
from .weights import FittedWeights, JudgedPool, fit_weights, judged_pool, mean_ndcg

__all__ = [
    "EvaluateOptions",
    "Evaluation",
    "FittedWeights",
    "Judged",
    "JudgedPool",
    "JudgedText",
    "Latency",
    "Measure",
    "Qrels",
    "Run",
    "Stage",
    "evaluate",
    "fit_weights",
    "judge",
    "judged_pool",
    "k_recall",
    "mean_ndcg",
    "parse_measures",
    "read_judged_texts",
    "read_qrels",
    "read_run",
    "run_lines",
    "write_run",
]
