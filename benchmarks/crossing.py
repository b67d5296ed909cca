"""The residual crossing of 100 cached vectors beside the query tower's own time, interleaved, one thread.

    OMP_NUM_THREADS=1 python benchmarks/crossing.py [MODEL]

Process time in ms, medians with the 10th and 90th percentile; the query has about 16 tokens.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
from twinbert import TwinEncoder

ROUNDS, CANDIDATES = 400, 100
QUERY = "how do I restart a service that failed during the night on a server"


def main() -> None:
    """Print both times and their ratio."""
    encoder = TwinEncoder.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "starter")
    drawn = np.random.default_rng(0).standard_normal((CANDIDATES, encoder.dimension)).astype(np.float32)
    documents = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    query = encoder.encode_queries([QUERY])[0]
    towers, crossings = [], []
    for _ in range(ROUNDS):
        towers.append(_milliseconds(lambda: encoder.encode_queries([QUERY])))
        crossings.append(_milliseconds(lambda: encoder.score(query, documents)))
    for name, taken in (("query tower", towers), ("crossing of 100", crossings)):
        low, middle, high = np.quantile(taken, (0.1, 0.5, 0.9))
        print(f"{name:<16} {middle:.3f} ms ({low:.3f} to {high:.3f})")
    print(f"{'crossing / tower':<16} {np.median(crossings) / np.median(towers):.1%}")


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.process_time_ns()
    call()
    return (time.process_time_ns() - begun) / 1e6


if __name__ == "__main__":
    main()
