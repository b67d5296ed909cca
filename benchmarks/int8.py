"""What each int8 recipe keeps of fp32's ten nearest documents, and how long one query takes.

    twinbert model import ALL_MINILM_L6_V2 minilm
    python benchmarks/int8.py minilm [BEIR_FOLDER ...]

Texts: this Python's documentation, then each BEIR folder named (corpus.jsonl, queries.jsonl); 1,000 queries and 6,000
documents of each at most, none of them among the packaged calibration texts. Latency: one text of 16 tokens on one
thread, all graphs in turn, process CPU time and wall time in ms, median (p10-p90).
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnx
import torch
from twinbert.cli.parity import export_texts
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TwinConfig
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.encoders.serving.tower import OnnxTower, load_session
from twinbert.encoders.training.quantisation.calibration import capture
from twinbert.encoders.training.quantisation.graph import fp32_graph
from twinbert.encoders.training.quantisation.parity import neighbours, overlap
from twinbert.encoders.training.quantisation.quantise import TowerQuantiser
from twinbert.encoders.training.quantisation.recipe import RECIPES
from twinbert.encoders.training.quantisation.texts import MOST_DOCUMENTS, MOST_QUERIES, ParityTexts, read_texts
from twinbert.encoders.training.saving import load

TOKENS, ROUNDS, TABLE = 16, 200, "int8"


def beir_texts(folder: Path) -> ParityTexts:
    """The first queries and documents of a BEIR folder, 60 words of a document."""
    found = {}
    for name, most in (("queries", MOST_QUERIES), ("corpus", MOST_DOCUMENTS)):
        lines = (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:most]
        rows = [json.loads(line) for line in lines]
        found[name] = [" ".join(f"{row.get('title', '')} {row['text']}".split()[:60]) for row in rows]
    return ParityTexts(found["queries"], found["corpus"])


def write_graphs(model: ModelFolder, folder: Path) -> tuple[TwinConfig, dict[str, Path]]:
    """The fp32 graph and one of each recipe, of a model whose towers are shared."""
    student = load(model)
    tower, config = student.towers.query, student.towers.config
    tokenizer = tokenizer_of(config, "document", model.tokenizer)
    quantiser = TowerQuantiser(tower, capture(tower, tokenizer.encode(read_texts())), TABLE)
    graphs = {"fp32": fp32_graph(tower)} | {recipe.name: quantiser.graph(recipe) for recipe in RECIPES}
    paths = {name: folder / f"{name}.onnx" for name in graphs}
    for name, graph in graphs.items():
        onnx.save(graph, paths[name])
    return config, paths


def latencies(paths: dict[str, Path], config: TwinConfig) -> dict[str, np.ndarray]:
    """Milliseconds of each graph, ``(rounds, 2)``: CPU time and wall time."""
    sessions = {name: load_session(path, config.tower) for name, path in paths.items()}
    ids = np.random.default_rng(0).integers(1, config.tower.vocab_size, (1, TOKENS))
    inputs = {"ids": ids, "mask": np.ones((1, TOKENS), dtype=np.float32)}
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            cpu, wall = time.process_time(), time.perf_counter()
            session.run(None, inputs)
            taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {name: np.array(times) * 1e3 for name, times in taken.items()}


def print_overlaps(
    title: str, texts: ParityTexts, paths: dict[str, Path], config: TwinConfig, model: ModelFolder
) -> None:
    """A line a recipe: the neighbours kept by queries alone, and by both sides."""
    found = {}
    for name, path in paths.items():
        session, dimension = load_session(path, config.tower), config.tower.dimension
        query, document = (
            OnnxTower(session, tokenizer_of(config, side, model.tokenizer), dimension, 1)
            for side in ("query", "document")
        )
        found[name] = query.encode(texts.queries), document.encode(texts.documents)
    queries, documents = found.pop("fp32")
    exact = neighbours(queries, documents)
    print(f"\n{title}: {len(queries):,} queries, {len(documents):,} documents")
    for name, (few, many) in found.items():
        print(
            f"  {name:<20} {overlap(exact, neighbours(few, documents)):.4f} {overlap(exact, neighbours(few, many)):.4f}"
        )


def main() -> None:
    """Print the latencies, then the neighbours kept."""
    torch.set_num_threads(1)
    model = ModelFolder(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        config, paths = write_graphs(model, Path(folder))
        config = dataclasses.replace(config, query_tokens=min(64, config.query_tokens))
        times = latencies(paths, config)
        base = np.median(times["fp32"][:, 0])
        print(f"{'graph':<20} {'CPU ms':>18} {'wall ms':>18} x fp32     MB")
        for name, path in paths.items():
            cells = [
                f"{m:.2f} ({low:.2f}-{high:.2f})" for low, m, high in np.percentile(times[name], (10, 50, 90), 0).T
            ]
            ratio = base / np.median(times[name][:, 0])
            print(f"{name:<20} {cells[0]:>18} {cells[1]:>18} {ratio:6.2f} {path.stat().st_size / 1e6:6.1f}")
        python = export_texts(None, None).parity
        sets = {"Python's documentation": python} if python is not None else {}
        sets |= {name: beir_texts(Path(name)) for name in sys.argv[2:]}
        for title, texts in sets.items():
            print_overlaps(title, texts, paths, config, model)


if __name__ == "__main__":
    main()
