"""How fast a teacher scores pairs from file to file, and in how much memory.

    python benchmarks/scoring.py TEACHER PAIRS --limit 2000 --rounds 3

TEACHER is a folder or hub id of a cross-encoder, PAIRS what ``twinbert train score`` takes. Each round is a process of
its own, which loads the teacher, scores once and tells its peak of resident memory (Linux). A rate counts what
``score_pairs`` does: reading and checking the pairs, tokenising, scoring, writing.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import torch
from twinbert import TwinBertError
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.pair_files import read_pair_rows
from twinbert.encoders.training.scoring import score_pairs


def main() -> None:
    """Run the benchmark as the command line says."""
    arguments = _arguments()
    if arguments.one_round:
        print(json.dumps(_round(arguments)))
        return
    command = [sys.executable, *sys.argv, "--one-round"]
    rounds = []
    for _ in range(arguments.rounds):
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        if done.returncode:
            sys.exit(done.returncode)
        rounds.append(json.loads(done.stdout))
    for name in rounds[0]:
        low, median, high = np.percentile([found[name] for found in rounds], [10, 50, 90])
        print(f"{name:<28}{median:10,.1f}  ({low:,.1f}–{high:,.1f})")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--limit", type=int, default=2_000, help="pairs that are scored")
    parser.add_argument("--longest", type=int, help="tokens of a pair; the teacher's own when not named")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one-round", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _round(arguments: argparse.Namespace) -> dict[str, float]:
    torch.set_num_threads(arguments.threads)
    try:
        teacher = CrossEncoder.load(arguments.teacher, arguments.longest)
        with tempfile.TemporaryDirectory() as folder:
            source = _first_pairs(arguments.pairs, arguments.limit, Path(folder) / "pairs.jsonl")
            loaded, wall, cpu = _peak_mib(), time.perf_counter(), time.process_time()
            report = score_pairs(source, Path(folder) / "scored.jsonl", teacher)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    except TwinBertError as error:
        sys.exit(f"error: {error}")
    return {
        "pairs": report.pairs,
        "pairs a second": report.pairs / wall,
        "pairs a processor second": report.pairs / cpu,
        "peak before scoring, MiB": loaded,
        "peak, MiB": _peak_mib(),
    }


def _first_pairs(pairs: Path, limit: int, target: Path) -> Path:
    with target.open("wb") as file:
        for row in islice(read_pair_rows(pairs), limit):
            file.write(msgspec.json.encode(row.fields) + b"\n")
    return target


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
