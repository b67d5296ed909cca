import dataclasses
from pathlib import Path

import pytest
import torch
from checkpoints import BERT, DISTILBERT, checkpoint, edit
from safetensors.torch import load_file, save_file
from torch.nn.functional import normalize
from twinbert.encoders.config import TowerConfig
from twinbert.encoders.training.checkpoint import Checkpoint, copy_checkpoint, load_checkpoint
from twinbert.encoders.training.towers import Tower
from twinbert.errors import ModelError

TOWER = TowerConfig(
    tokenizer="wordpiece",
    vocab_size=16,
    embedding_size=32,
    hidden_size=32,
    layers=3,
    heads=4,
    ffn_size=48,
    max_tokens=20,
    embedding_norm=True,
    pooling="mean",
    dimension=32,
)
IDS = torch.tensor([[2, 4, 9, 11, 3], [2, 7, 3, 0, 0]])
MASK = torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def of_transformers(loaded: Checkpoint) -> torch.Tensor:
    """The oracle: transformers' own forward, the mean of its last states, unit length."""
    states = loaded.bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
    return normalize((states * MASK[..., None]).sum(1) / MASK.sum(1, keepdim=True))


@pytest.mark.parametrize("config", [BERT, DISTILBERT], ids=["bert", "distilbert"])
def test_a_tower_with_a_checkpoint_s_weights_computes_what_transformers_does(
    tmp_path: Path, vocabulary_file: Path, config: object
) -> None:
    loaded = load_checkpoint(checkpoint(tmp_path / "bert", vocabulary_file, config))
    tower = Tower(TOWER).eval()
    copy_checkpoint(tower, loaded.bert, range(3))
    with torch.no_grad():
        torch.testing.assert_close(tower(IDS, MASK), of_transformers(loaded), atol=1e-6, rtol=0)


def test_some_layers_and_some_positions_make_a_smaller_tower(tmp_path: Path, vocabulary_file: Path) -> None:
    loaded = load_checkpoint(checkpoint(tmp_path / "bert", vocabulary_file))
    tower = Tower(dataclasses.replace(TOWER, layers=2, max_tokens=8, vocab_size=12)).eval()
    copy_checkpoint(tower, loaded.bert, (0, 2))
    del loaded.bert.encoder.layer[1]
    with torch.no_grad():
        torch.testing.assert_close(tower(IDS, MASK), of_transformers(loaded), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("changes", "layers", "message"),
    [
        ({"ffn_size": 32}, (0, 1, 2), "the tower's ffn_size is 32, the checkpoint needs 48"),
        ({"heads": 2}, (0, 1, 2), "the tower's heads is 2, the checkpoint needs 4"),
        ({"embedding_norm": False}, (0, 1, 2), "the tower's embedding_norm is False, the checkpoint needs True"),
        ({"vocab_size": 17}, (0, 1, 2), "the tower's vocab_size is 17, the checkpoint has 16"),
        ({"max_tokens": 21}, (0, 1, 2), "the tower's max_tokens is 21, the checkpoint has 20"),
        ({}, (0, 1), r"name 3 of the checkpoint's 3 layers, not \[0, 1\]"),
        ({}, (0, 1, 3), r"name 3 of the checkpoint's 3 layers, not \[0, 1, 3\]"),
        ({}, (0, 1, -1), r"name 3 of the checkpoint's 3 layers, not \[0, 1, -1\]"),
    ],
)
def test_a_tower_of_another_shape_is_refused(
    tmp_path: Path, vocabulary_file: Path, changes: dict, layers: tuple[int, ...], message: str
) -> None:
    loaded = load_checkpoint(checkpoint(tmp_path / "bert", vocabulary_file))
    with pytest.raises(ModelError, match=message):
        copy_checkpoint(Tower(dataclasses.replace(TOWER, **changes)), loaded.bert, layers)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "config.json: model_type roberta is not supported: name a bert or distilbert"),
        ({"model_type": None}, "config.json: model_type unnamed is not supported"),
        ({"hidden_act": "relu"}, "config.json: hidden_act relu is not supported, only gelu"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type relative_key is not supported"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps 1e-05 is not supported, only 1e-12"),
        ({"is_decoder": True}, "is_decoder True is not supported, only False"),
        ({"auto_map": {"AutoModel": "theirs.Model"}}, "auto_map .* is not supported"),
        ({"hidden_size": 64}, "not the weights of its config.json"),
        ({"num_hidden_layers": "six"}, "not the weights of its config.json"),
        ({"is_decoder": "maybe"}, "config.json: not a checkpoint's configuration"),
    ],
)
def test_what_the_tower_could_not_compute_is_refused_by_name(
    tmp_path: Path, vocabulary_file: Path, changes: dict, message: str
) -> None:
    folder = checkpoint(tmp_path / "bert", vocabulary_file)
    edit(folder / "config.json", **changes)
    with pytest.raises(ModelError, match=message):
        load_checkpoint(folder)


def test_files_that_are_missing_or_damaged_are_named(tmp_path: Path, vocabulary_file: Path) -> None:
    folder = checkpoint(tmp_path / "bert", vocabulary_file)
    weights = folder / "model.safetensors"
    content, tensors = weights.read_bytes(), load_file(weights)
    weights.write_bytes(content[:-100])
    with pytest.raises(ModelError, match="bert: not the weights of its config.json"):
        load_checkpoint(folder)
    del tensors["encoder.layer.1.output.dense.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks 1 weights of the model, encoder.layer.1.output.dense.bias first"):
        load_checkpoint(folder)
    weights.rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="a pickle, which is never read: convert it to model.safetensors"):
        load_checkpoint(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match="model.safetensors is missing: copy the checkpoint whole"):
        load_checkpoint(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="tokenizer.json is missing"):
        load_checkpoint(folder)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="config.json cannot be read"):
        load_checkpoint(folder)
