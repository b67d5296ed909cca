"""Towers to ONNX: token ids to the normalised pooled vector, batch and length free, fp32 and int8."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import onnx
import torch

from ..serving.trigrams import TRIGRAMS_PER_WORD
from .quantize import quantize
from .towers import Tower

OPSET = 20
"""First with a Gelu of its own."""


def export_tower(tower: Tower, fp32: Path, int8: Path) -> None:
    """Write one tower as two ONNX graphs with inputs ``ids``, ``mask`` and output ``vectors``.

    int8: weights per column and activations per token in 8 bits, the token table in 4 (see ``quantize``).
    """
    model = to_onnx(tower)
    for path, graph in ((fp32, model), (int8, quantize(model))):
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(graph, path)


def to_onnx(tower: Tower) -> onnx.ModelProto:
    """Trace a tower in evaluation mode."""
    was_training = tower.training
    tower.eval()
    per_word = (TRIGRAMS_PER_WORD,) if tower.config.tokenizer == "trigrams" else ()
    example = (torch.ones((2, 3, *per_word), dtype=torch.int64), torch.ones((2, 3)))
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=tower.config.max_tokens)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns of torchvision, which nothing here uses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own deprecations
        program = torch.onnx.export(
            tower,
            example,
            input_names=["ids", "mask"],
            output_names=["vectors"],
            dynamic_shapes=({0: batch, 1: tokens}, {0: batch, 1: tokens}),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    tower.train(was_training)
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    return program.model_proto
