"""The int8 graphs of a model: recipes tried, measured against fp32, the cheapest good one kept."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from ....errors import ModelError
from ...config import Side, TwinConfig
from ...folder import ModelFolder
from ...serving.tokenizing import tokenizer_of
from ...serving.tower import OnnxTower, load_session
from ..towers import Tower
from .calibration import capture
from .parity import Parity, ParityReport, cosines, enough, neighbours, overlap, speed_ratio
from .quantise import TowerQuantiser
from .recipe import Int8Options, Int8Recipe
from .texts import ExportTexts, ParityTexts, read_texts

Vectors = dict[Side, NDArray[np.float32]]
UNMEASURED = "no texts were given to measure by"


def export_int8(
    towers: Mapping[Side, Tower],
    config: TwinConfig,
    folder: ModelFolder,
    options: Int8Options,
    texts: ExportTexts,
) -> ParityReport:
    """Write the int8 graph of each tower beside its fp32 graph, which must be there.

    towers: by side; one entry, ``query``, where both sides share it.
    texts: to calibrate with, and to choose a recipe by.

    Raises ModelError when no recipe tried keeps to the bounds, unless the options accept the loss; the folder is then
    left as it was.
    """
    with tempfile.TemporaryDirectory(dir=folder.root) as scratch:
        calibration = read_texts() if texts.calibration is None else texts.calibration
        exporter = _Exporter(config, folder, options, Path(scratch), texts.parity)
        for side in sorted(towers, reverse=True):  # the query tower first: documents are judged with its vectors
            exporter.export(towers[side], side, calibration)
        return exporter.finish()


class _Exporter:
    """Holds what the two towers of one export share: the fp32 vectors, and the int8 queries so far."""

    def __init__(
        self, config: TwinConfig, folder: ModelFolder, options: Int8Options, scratch: Path, texts: ParityTexts | None
    ) -> None:
        self.config, self.folder, self.options, self.scratch = config, folder, options, scratch
        self.given: dict[Side, Sequence[str]] = {}
        if texts is not None and texts.queries and texts.documents:
            self.given = {"query": texts.queries, "document": texts.documents}
        self.bounded = texts is not None and enough(texts.queries, texts.documents)
        self.rows: list[Parity] = []
        self.moves: list[tuple[Path, Path]] = []
        self.recipes: dict[str, str] = {}
        self.fp32 = {side: self._encode(self._fp32(side), side) for side in self.given}
        self.queries = self.fp32.get("query")

    def export(self, tower: Tower, side: Side, calibration: Sequence[str]) -> None:
        """Try the recipes on one tower, and keep one."""
        longest: Side = "document" if self.config.shared else side
        tokenizer = tokenizer_of(self.config, longest, self.folder.tokenizer)
        candidates = self.options.candidates(measured=bool(self.given))
        inputs = capture(tower, tokenizer.encode(calibration)) if any(one.calibrated for one in candidates) else None
        quantiser = TowerQuantiser(tower, inputs, self.options.table)
        name = "tower" if self.config.shared else side
        paths = {}
        for recipe in candidates:
            paths[recipe.name] = self.scratch / f"{name}_{recipe.name}.onnx"
            onnx.save(quantiser.graph(recipe), paths[recipe.name])
            if self.given:
                self.rows.append(self._measure(paths[recipe.name], recipe, name, side))
        chosen = self._choose(name, candidates)
        self.recipes[name] = chosen
        self.moves.append((paths[chosen], self.folder.graph(side, "int8", shared=self.config.shared)))
        if self.given and side == "query":
            self.queries = self._encode(paths[chosen], "query")

    def finish(self) -> ParityReport:
        """Put the chosen graphs in their places."""
        for source, target in self.moves:
            source.replace(target)
        return ParityReport(
            queries=len(self.given.get("query", ())),
            documents=len(self.given.get("document", ())),
            bounded=self.bounded,
            query_bound=self.options.query_bound,
            document_bound=self.options.document_bound,
            table=self.options.table,
            recipes=self.recipes,
            rows=self.rows,
            unmeasured="" if self.given else UNMEASURED,
        )

    def _measure(self, path: Path, recipe: Int8Recipe, name: str, side: Side) -> Parity:
        sides: tuple[Side, ...] = ("query", "document") if self.config.shared else (side,)
        found = {one: self._encode(path, one) for one in sides}
        kept = np.concatenate([cosines(found[one], self.fp32[one]) for one in sides])
        query = self._overlap(found["query"], self.fp32["document"]) if "query" in found else None
        queries = found.get("query", self.queries)
        both = self._overlap(queries, found["document"]) if "document" in found and queries is not None else None
        original = self._fp32(side)
        shape = self.config.tower_of(side)
        return Parity(
            tower=name,
            recipe=recipe.name,
            cosine_mean=float(kept.mean()),
            cosine_min=float(kept.min()),
            query_overlap=query,
            both_overlap=both,
            speed_ratio=speed_ratio(
                load_session(original, shape),
                load_session(path, shape),
                trigrams=shape.tokenizer == "trigrams",
                longest=self.config.tokens_of(side),
                vocabulary=shape.vocab_size,
            ),
            size_bytes=path.stat().st_size,
            fp32_bytes=original.stat().st_size,
            accepted=(query is None or query >= self.options.query_bound)
            and (both is None or both >= self.options.document_bound),
        )

    def _choose(self, name: str, candidates: Sequence[Int8Recipe]) -> str:
        """The first recipe within the bounds; the closest where none is and the loss is accepted or not judged."""
        rows = [row for row in self.rows if row.tower == name]
        if not rows:
            return candidates[0].name
        good = [row for row in rows if row.accepted]
        best = good[0] if good else max(rows, key=_kept)
        if not good and self.bounded and not self.options.accept_loss:
            raise ModelError(self._refusal(best))
        place = self.rows.index(best)
        self.rows[place] = dataclasses.replace(best, chosen=True)
        return best.recipe

    def _refusal(self, best: Parity) -> str:
        shares = [(best.query_overlap, self.options.query_bound, "queries alone")]
        shares += [(best.both_overlap, self.options.document_bound, "both sides")]
        told = [f"{share:.3f} of {bound} ({which})" for share, bound, which in shares if share is not None]
        return (
            f"int8 keeps too few of fp32's neighbours in the {best.tower} graph, by its best recipe {best.recipe}: "
            f"{', '.join(told)}; calibrate with texts like your own, or accept the loss, or serve fp32"
        )

    def _overlap(self, queries: NDArray[np.float32], documents: NDArray[np.float32]) -> float:
        expected = neighbours(self.fp32["query"], self.fp32["document"])
        return overlap(expected, neighbours(queries, documents))

    def _encode(self, path: Path, side: Side) -> NDArray[np.float32]:
        shape = self.config.tower_of(side)
        tokenizer = tokenizer_of(self.config, side, self.folder.tokenizer)
        return OnnxTower(load_session(path, shape), tokenizer, shape.dimension, 1).encode(self.given[side])

    def _fp32(self, side: Side) -> Path:
        return self.folder.graph(side, "fp32", shared=self.config.shared)


def _kept(row: Parity) -> float:
    return min(share for share in (row.query_overlap, row.both_overlap) if share is not None)
