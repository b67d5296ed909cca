"""A BERT-family checkpoint of Hugging Face's: checked, loaded, and copied into a tower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from torch import Tensor

from ...errors import ModelError
from ..folder import fetch
from .initialise import layer_weights
from .towers import Tower

CHECKPOINT_FILES = ("*.json", "*.txt", "*.safetensors")
"""What a checkpoint's hub repository is asked for: no pickles."""
FAMILY: dict[str, Any] = {"bert": transformers.BertModel, "distilbert": transformers.DistilBertModel}
"""The kinds of checkpoint whose arithmetic is the tower's own."""


@dataclass(frozen=True)
class Checkpoint:
    """A loaded checkpoint.

    bert: transformers' ``BertModel`` or ``DistilBertModel``, float32, in evaluation mode.
    tokenizer: its ``tokenizer.json``. root: its folder.
    """

    bert: Any
    tokenizer: Path
    root: Path


def load_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: Path | None = None,
    local_files_only: bool = False,
) -> Checkpoint:
    """Load a checkpoint from its folder or by its hub id (downloaded unless ``local_files_only``).

    Raises ModelError, naming file and setting, for what is not of the BERT family, not whole, or not safetensors.
    """
    root = fetch(source, CHECKPOINT_FILES, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only)
    tokenizer = root / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(
            f"{tokenizer} is missing: save the checkpoint's tokenizer again with transformers' AutoTokenizer"
        )
    return Checkpoint(load_bert(root), tokenizer, root)


def load_bert(root: Path) -> Any:  # noqa: ANN401 - transformers' modules are untyped
    """Load the transformer of a folder in float32.

    Raises ModelError as ``load_checkpoint`` does.
    """
    kind = _require_family(root / "config.json")
    _require_safetensors(root)
    options = {"add_pooling_layer": False} if kind == "bert" else {}
    try:
        with quiet():
            bert, report = FAMILY[kind].from_pretrained(
                root,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                dtype=torch.float32,
                **options,
            )
    except (OSError, RuntimeError, ValueError, StrictDataclassError, SafetensorError) as error:
        raise ModelError(f"{root}: not the weights of its config.json ({str(error).splitlines()[0]})") from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{root / 'model.safetensors'} lacks {len(missing)} weights of the model, {missing[0]} first")
    return bert.eval()


class _Settings(msgspec.Struct, frozen=True):
    """What of a checkpoint's ``config.json`` decides whether a tower computes the same; defaults are BERT's."""

    model_type: str = "unnamed"
    hidden_act: str = "gelu"
    activation: str = "gelu"
    position_embedding_type: str | None = "absolute"
    layer_norm_eps: float = 1e-12
    is_decoder: bool = False
    add_cross_attention: bool = False
    auto_map: dict[str, Any] | None = None
    quantization_config: dict[str, Any] | None = None


def _require_family(path: Path) -> str:
    """The model type, after every setting has been found to be one that the tower has."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Settings)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): name a folder with a BERT checkpoint") from error
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path}: not a checkpoint's configuration ({error})") from error
    if found.model_type not in FAMILY:
        raise ModelError(
            f"{path}: model_type {found.model_type} is not supported: name a bert or distilbert checkpoint"
        )
    allowed = _Settings(model_type=found.model_type)
    for name in _Settings.__struct_fields__:
        if (value := getattr(found, name)) != getattr(allowed, name):
            raise ModelError(f"{path}: {name} {value} is not supported, only {getattr(allowed, name)}")
    return found.model_type


def _require_safetensors(root: Path) -> None:
    names = ("model.safetensors", "model.safetensors.index.json")
    if any((root / name).is_file() for name in names):
        return
    if (root / "pytorch_model.bin").is_file():
        raise ModelError(
            f"{root} holds its weights as pytorch_model.bin, a pickle, which is never read: "
            "convert it to model.safetensors, or name a revision that has it"
        )
    raise ModelError(f"{root / names[0]} is missing: copy the checkpoint whole")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from reporting the weights that are not needed; those that are missing we refuse ourselves."""
    logging: Any = transformers.utils.logging
    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def copy_checkpoint(tower: Tower, bert: Any, layers: Sequence[int]) -> None:  # noqa: ANN401 - as above
    """Copy token table, positions, embedding normalisation and some layers of a checkpoint into a tower.

    layers: which of the checkpoint's layers become the tower's, in order. Positions that the tower does not have and
    rows of the token table beyond its vocabulary are left behind; pooling and projection stay as they are.

    Raises ModelError when the shapes do not fit.
    """
    _require_fit(tower, bert, layers)
    theirs = bert.embeddings
    positions = theirs.position_embeddings.weight
    if hasattr(theirs, "token_type_embeddings"):  # a text alone is all of the first segment
        positions = positions + theirs.token_type_embeddings.weight[0]
    with torch.no_grad():
        tower.tokens.table.weight.copy_(theirs.word_embeddings.weight[: tower.config.vocab_size])
        tower.positions.weight.copy_(positions[: tower.config.max_tokens])
        tower.norm.load_state_dict(theirs.LayerNorm.state_dict())
        for ours, index in zip(tower.layers, layers, strict=True):
            ours.load_state_dict(_layer(bert, index))


def shape_of(source: str | Path, layers: int | None) -> dict[str, Any]:
    """The ``[model.tower]`` table of a tower that takes the first ``layers``, or all, of a checkpoint's layers."""
    root = fetch(source, CHECKPOINT_FILES)
    _require_family(root / "config.json")
    config = transformers.AutoConfig.from_pretrained(root, local_files_only=True)
    return {
        "tokenizer": "wordpiece",
        "vocab_size": config.vocab_size,
        "embedding_size": config.hidden_size,
        "hidden_size": config.hidden_size,
        "dimension": config.hidden_size,
        "layers": layers or config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "ffn_size": int(config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size),
        "max_tokens": config.max_position_embeddings,
        "embedding_norm": True,
    }


def ffn_size(bert: Any) -> int:  # noqa: ANN401 - as above
    """Width of the feed-forward part, which every kind of checkpoint names in its own way."""
    config = bert.config
    return int(config.hidden_dim if config.model_type == "distilbert" else config.intermediate_size)


def _require_fit(tower: Tower, bert: Any, layers: Sequence[int]) -> None:  # noqa: ANN401 - as above
    ours, theirs = tower.config, bert.config
    shape = {
        "hidden_size": (ours.hidden_size, theirs.hidden_size),
        "embedding_size": (ours.embedding_size, theirs.hidden_size),
        "heads": (ours.heads, theirs.num_attention_heads),
        "ffn_size": (ours.ffn_size, ffn_size(bert)),
        "embedding_norm": (ours.embedding_norm, True),
        "tokenizer": (ours.tokenizer, "wordpiece"),
    }
    for name, (found, wanted) in shape.items():
        if found != wanted:
            raise ModelError(f"the tower's {name} is {found}, the checkpoint needs {wanted}")
    for name, found, most in (
        ("vocab_size", ours.vocab_size, theirs.vocab_size),
        ("max_tokens", ours.max_tokens, theirs.max_position_embeddings),
    ):
        if found > most:
            raise ModelError(f"the tower's {name} is {found}, the checkpoint has {most}")
    depth = theirs.num_hidden_layers
    if len(layers) != ours.layers or not all(0 <= index < depth for index in layers):
        raise ModelError(f"name {ours.layers} of the checkpoint's {depth} layers, not {list(layers)}")


def _layer(bert: Any, index: int) -> dict[str, Tensor]:  # noqa: ANN401 - as above
    """The weights of one of the checkpoint's layers under the names of our ``Layer``."""
    if bert.config.model_type == "bert":
        return layer_weights(bert.encoder.layer[index])
    layer = bert.transformer.layer[index]
    parts = (layer.attention.q_lin, layer.attention.k_lin, layer.attention.v_lin)
    weights = {f"qkv.{kind}": torch.cat([getattr(part, kind) for part in parts]) for kind in ("weight", "bias")}
    modules = {
        "attention_output": layer.attention.out_lin,
        "attention_norm": layer.sa_layer_norm,
        "up": layer.ffn.lin1,
        "down": layer.ffn.lin2,
        "output_norm": layer.output_layer_norm,
    }
    return weights | {
        f"{ours}.{kind}": getattr(theirs, kind) for ours, theirs in modules.items() for kind in ("weight", "bias")
    }
