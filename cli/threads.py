"""How many threads a command may use."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """Processors that this process may run on: fewer than the machine has under ``taskset`` or in a container."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
