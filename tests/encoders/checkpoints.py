"""Tiny real checkpoints and sentence-transformers folders, with random weights large enough to show a mix-up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
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
