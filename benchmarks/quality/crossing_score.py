"""``twinbert train score`` in bfloat16, for processors that multiply it faster: the same file, twice as soon.

python benchmarks/quality/crossing_score.py TEACHER pairs.jsonl scored.jsonl
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.encoders.training.scoring import score_pairs


def main() -> None:
    """Score, going on with a run that was stopped."""
    teacher, pairs, scored = (Path(argument) for argument in sys.argv[1:])
    encoder = CrossEncoder.load(teacher)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        report = score_pairs(pairs, scored, encoder, resume=True, progress=_tell)
    print(f"{report.pairs} pairs, {report.scored} of them now")


def _tell(done: int, total: int) -> None:
    print(f"{done}/{total}", flush=True)


if __name__ == "__main__":
    main()
