"""A trained student to a model folder, and back for further training."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnx
import safetensors
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...errors import ModelError
from ..config import SIDES, Side, TowerConfig, TwinConfig, read_config, write_config
from ..folder import ModelFolder, Precision, checksum, fingerprint
from ..serving.canaries import sing, write_canaries
from ..serving.crossing import BottleneckHead, Head, LinearHead, ReluHead, ResidualCrossing, write_crossing
from ..serving.tokenizing import tokenizer_of
from ..serving.tower import OnnxTower, load_session
from .crossings import ResidualHead
from .quantisation.export import export_int8
from .quantisation.graph import fp32_graph
from .quantisation.parity import ParityReport
from .quantisation.recipe import Int8Options
from .quantisation.texts import ExportTexts
from .student import Student
from .towers import Tower

PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def save(
    student: Student,
    folder: ModelFolder,
    tokenizer: Path | None,
    options: Int8Options | None = None,
    texts: ExportTexts | None = None,
) -> ParityReport:
    """Write the whole folder: weights, tokeniser, towers in both precisions, folded crossings, configuration.

    tokenizer: the ``tokenizer.json`` that the student was trained with; None for trigrams.
    options, texts: of the int8 export, see ``export``.

    Raises ModelError when there is something at the folder already, and as ``export`` does; what was trained is then
    in the folder all the same, to be exported with other options.
    """
    if folder.root.exists() and any(folder.root.iterdir()):
        raise ModelError(f"{folder.root} is not empty: name a new folder for the model")
    folder.root.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in student.state_dict().items()}, folder.weights)
    if tokenizer is not None:
        shutil.copyfile(tokenizer, folder.tokenizer)
    write_config(student.towers.config, folder.config)
    return export(student, folder, options, texts)


def export(
    student: Student, folder: ModelFolder, options: Int8Options | None = None, texts: ExportTexts | None = None
) -> ParityReport:
    """Write what serving reads, then the configuration that names it all.

    options: the int8 recipe and its bounds. texts: to calibrate int8 with, and to measure it by; without the latter
    nothing is measured, and ``parity.json`` says so.

    Raises ModelError when int8 keeps too few of fp32's neighbours, unless the options accept the loss.
    """
    config, texts = student.towers.config, texts or ExportTexts()
    towers: dict[Side, Tower] = {"query": student.towers.query}
    if student.towers.separate is not None:
        towers["document"] = student.towers.separate
    for side, tower in towers.items():
        path = folder.graph(side, "fp32", shared=config.shared)
        path.parent.mkdir(exist_ok=True)
        onnx.save(fp32_graph(tower), path)
    report = export_int8(towers, config, folder, options or Int8Options(), texts)
    folder.parity.write_bytes(report.to_json())
    write_canaries(_canaries(config, folder), folder.canaries)
    if student.head is None:
        folder.head.unlink(missing_ok=True)
    else:
        write_crossing(fold(student, student.head), folder.head)
    space = space_of(student, folder)
    write_config(dataclasses.replace(config, space=space, files=folder.checksums()), folder.config)
    return report


def _canaries(config: TwinConfig, folder: ModelFolder) -> dict[str, NDArray[np.float32]]:
    """What this machine makes of the canaries, for each side in each precision."""
    found = {}
    for side in SIDES:
        tokenizer, tower = tokenizer_of(config, side, folder.tokenizer), config.tower_of(side)
        for precision in PRECISIONS:
            session = load_session(folder.graph(side, precision, shared=config.shared), tower)
            found[f"{side}.{precision}"] = sing(OnnxTower(session, tokenizer, tower.dimension, 1))
    return found


def fold(student: Student, head: ResidualHead) -> ResidualCrossing:
    """Both crossings as serving has them: the cosine's logit plus the configured share of the head."""
    share = student.towers.config.head_share
    added = head.config.cosine
    with torch.no_grad():
        served, bias = _served_head(head, share)
        return ResidualCrossing(
            scale=np.float32(student.cosine.scale.item() if added else 0.0),
            bias=np.float32((student.cosine.bias.item() if added else 0.0) + bias),
            head=served,
            combination=head.config.combination,
        )


def _served_head(head: ResidualHead, share: float) -> tuple[Head, float]:
    """The head in NumPy, its output shrunk to ``share``, and the bias that goes with it."""
    if head.config.residual == "linear":
        vector, bias = head.folded()
        return LinearHead(_array(vector * share)), bias.item() * share
    scale, output = np.asarray(head.input_scale, dtype=np.float32), _array(head.output.weight[0] * share)
    offset = head.output.bias.item() * share
    if head.config.residual == "relu":
        return ReluHead(_array(head.residual.weight), _array(head.residual.bias), output, scale), offset
    narrow, widen = head.narrow, head.widen
    return BottleneckHead(
        _array(narrow.weight), _array(narrow.bias), _array(widen.weight), _array(widen.bias), output, scale
    ), offset


def _array(weight: Tensor) -> NDArray[np.float32]:
    return weight.detach().cpu().numpy().astype(np.float32)


def space_of(student: Student, folder: ModelFolder) -> str:
    """Fingerprint of what shapes a document vector: its tower's shape and weights, its tokeniser, its length."""
    config = student.towers.config
    parts = [_shape(config.tower).encode(), str(config.document_tokens).encode()]
    if folder.tokenizer.exists():
        parts.append(checksum(folder.tokenizer).encode())
    for name, tensor in sorted(student.towers.document.state_dict().items()):
        parts += [name.encode(), tensor.numpy().tobytes()]
    return fingerprint(parts)


def _shape(tower: TowerConfig) -> str:
    """What differs from the defaults: a field that a later version adds does not rename the spaces of today."""
    standard = TowerConfig()
    names = (field.name for field in dataclasses.fields(tower) if field.name != "dropout")
    return repr({name: getattr(tower, name) for name in names if getattr(tower, name) != getattr(standard, name)})


def load(folder: ModelFolder) -> Student:
    """Read a folder's fp32 weights for further training or export.

    Raises ModelError when they are missing, damaged or of another shape than ``config.json`` says.
    """
    config: TwinConfig = read_config(folder.config)
    student = Student(config)
    try:
        student.load_state_dict(load_file(folder.weights))
    except FileNotFoundError:
        raise ModelError(f"{folder.weights} is missing: this model was shipped without its fp32 weights") from None
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{folder.weights}: not the weights of this config.json ({str(error).splitlines()[0]})"
        ) from error
    return student.eval()
