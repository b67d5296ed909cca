"""Tiny real checkpoints and sentence-transformers folders, with random weights large enough to show a mix-up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

VOCABULARY = 16
BERT = BertConfig(
    vocab_size=VOCABULARY,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=20,
)
SHALLOW = BertConfig.from_dict(BERT.to_dict() | {"num_hidden_layers": 1})
DISTILBERT = DistilBertConfig(
    vocab_size=VOCABULARY, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=20
)


def checkpoint(folder: Path, tokenizer: Path, config: BertConfig | DistilBertConfig = BERT) -> Path:
    """Write a checkpoint with every weight drawn anew, biases and normalisations too."""
    torch.manual_seed(0)
    bert = DistilBertModel(config) if isinstance(config, DistilBertConfig) else BertModel(config)
    for weight in bert.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    bert.save_pretrained(folder)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    return folder


def edit(path: Path, **changes: object) -> None:
    """Change some keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def sentence_folder(
    folder: Path,
    tokenizer: Path,
    *,
    pooling: str = "mean",
    dense: tuple[int, str] | None = None,
    normalize: bool = True,
) -> Path:
    """Write a sentence-transformers folder as that library's older versions spell it.

    dense: length of the output and the activation's name.
    """
    checkpoint(folder, tokenizer, SHALLOW)
    kinds = ["Transformer", "Pooling", *(["Dense"] if dense else []), *(["Normalize"] if normalize else [])]
    places = ["" if number == 0 else f"{number}_{kind}" for number, kind in enumerate(kinds)]
    modules = [
        {"idx": number, "name": str(number), "path": place, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 12, "do_lower_case": False})
    flags = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
    pooled = {f"pooling_mode_{flag}": kind == pooling for flag, kind in flags.items()}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **pooled})
    if dense:
        _write_dense(folder / "2_Dense", *dense)
    return folder


def _write_dense(folder: Path, size: int, activation: str) -> None:
    settings = {"in_features": 32, "out_features": size, "bias": True, "activation_function": activation}
    _write(folder / "config.json", settings)
    torch.manual_seed(1)
    linear = torch.nn.Linear(32, size)
    tensors = {f"linear.{name}": tensor.detach() for name, tensor in linear.named_parameters()}
    save_file(tensors, folder / "model.safetensors")


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
