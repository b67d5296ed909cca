"""``twinbert model import``: a sentence-transformers model of the BERT family becomes a twin model."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import yaml  # type: ignore[import-untyped]
from safetensors import SafetensorError
from safetensors.torch import load_file

from ...errors import ModelError
from ..config import TowerConfig, TwinConfig
from ..folder import ModelFolder, fetch
from ..serving.words import LANGUAGES
from .card import CardFacts, write_card
from .checkpoint import copy_checkpoint, ffn_size, load_bert
from .saving import save
from .sentence_folder import SENTENCE_FILES, Projection, SentenceFolder, read_sentence_folder
from .sentence_tokenizer import longest_text, write_tokenizer
from .student import Student
from .towers import Tower


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Where a model comes from and what of it is left out.

    revision, cache_dir, local_files_only: of a hub id. without_prompts: import a model that puts prompts before texts
    all the same; its users put them there themselves.
    """

    revision: str | None = None
    cache_dir: Path | None = None
    local_files_only: bool = False
    without_prompts: bool = False


def import_model(source: str | Path, target: Path, options: ImportOptions | None = None) -> ModelFolder:
    """Write a sentence-transformers model as a twin model: towers shared, cosine only, fp32 and int8.

    source: its folder or hub id. target: a new folder. Its vectors are the source's own, brought to unit length where
    the source does not do that.

    Raises ModelError, naming file and setting, for what a twin model cannot do, and for a target that is not empty.
    """
    options = options or ImportOptions()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ModelError(f"{target} is not empty: name a new folder for the model")
    root = fetch(
        source,
        SENTENCE_FILES,
        revision=options.revision,
        cache_dir=options.cache_dir,
        local_files_only=options.local_files_only,
    )
    read = read_sentence_folder(root)
    _require_no_prompts(read, options)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as work:
        folder = ModelFolder(Path(work) / "model")
        _write(read, folder, Path(work) / "tokenizer.json")
        write_card(folder, _facts(source, options, read, name=target.name))
        folder.root.replace(target)
    return ModelFolder(target)


def _require_no_prompts(read: SentenceFolder, options: ImportOptions) -> None:
    if read.prompts and not options.without_prompts:
        told = ", ".join(f"{name} {text!r}" for name, text in read.prompts.items())
        raise ModelError(
            f"{read.root / 'config_sentence_transformers.json'}: prompts ({told}) are not supported: "
            "import --without-prompts, and put them before the texts yourself"
        )


def _write(read: SentenceFolder, folder: ModelFolder, tokenizer: Path) -> None:
    bert = load_bert(read.transformer)
    vocabulary = write_tokenizer(read.transformer, tokenizer, lowercase=read.lowercase)
    if vocabulary > bert.config.vocab_size:
        raise ModelError(f"{read.transformer}: {vocabulary} tokens, weights for only {bert.config.vocab_size}")
    config = dataclasses.replace(_config(read, bert, vocabulary), language=_language(read.root / "README.md"))
    student = Student(config).eval()
    copy_checkpoint(student.towers.query, bert, range(bert.config.num_hidden_layers))
    if read.projection is not None:
        _copy_projection(student.towers.query, read.projection)
    save(student, folder, tokenizer)


def _config(read: SentenceFolder, bert: Any, vocabulary: int) -> TwinConfig:  # noqa: ANN401 - untyped
    theirs = bert.config
    tower = TowerConfig(
        tokenizer="wordpiece",
        vocab_size=vocabulary,
        embedding_size=theirs.hidden_size,
        hidden_size=theirs.hidden_size,
        layers=theirs.num_hidden_layers,
        heads=theirs.num_attention_heads,
        ffn_size=ffn_size(bert),
        max_tokens=theirs.max_position_embeddings,
        embedding_norm=True,
        pooling=read.pooling,
        dimension=read.projection.dimension if read.projection else theirs.hidden_size,
        tanh=read.projection.tanh if read.projection else False,
    )
    told = read.longest or longest_text(read.transformer) or tower.max_tokens
    longest = min(told, tower.max_tokens)
    return TwinConfig(tower=tower, shared=True, crossing=None, query_tokens=longest, document_tokens=longest)


def _copy_projection(tower: Tower, projection: Projection) -> None:
    try:
        tensors = load_file(projection.weights)
        weights = {name.removeprefix("linear."): tensor for name, tensor in tensors.items()}
        weights.setdefault("bias", torch.zeros(projection.dimension))
        tower.project.load_state_dict(weights)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ModelError(f"{projection.weights}: not a Dense module's ({str(error).splitlines()[0]})") from error


def _facts(source: str | Path, options: ImportOptions, read: SentenceFolder, name: str) -> CardFacts:
    """What the card says of where the model comes from; licence and language are the source's own."""
    local, card = Path(source).is_dir(), read.root / "README.md"
    given, title = _front_matter(card), _title(card)
    at = f" at {options.revision}" if options.revision else ""
    told = f"the folder {read.root.name}{f' ({title})' if title else ''}" if local else f"{source}{at}"
    origin = f"Imported from {told}, a sentence-transformers model; not trained further."
    if not read.normalised:
        origin += " Its vectors, which were not of unit length, are brought to it."
    if read.prompts:
        prompts = ", ".join(f"{kind} {text!r}" for kind, text in read.prompts.items())
        origin += f" Prompts are not put before texts: put them there yourself ({prompts})."
    return CardFacts(
        name=name,
        origin=origin,
        base_model=None if local else str(source),
        license=given.get("license"),
        language=given.get("language"),
    )


def _front_matter(card: Path) -> dict[str, Any]:
    """What the head of a card says; nothing where there is no card, or no head."""
    if not card.is_file():
        return {}
    try:
        return huggingface_hub.metadata_load(card) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise ModelError(f"{card}: its head is not YAML ({str(error).splitlines()[0]}): mend or remove it") from error


def _language(card: Path) -> str | None:
    """The one language that a card names, where words of it can be stemmed."""
    told = _front_matter(card).get("language")
    one = told[0] if isinstance(told, list) and len(told) == 1 else told
    return one if isinstance(one, str) and one in LANGUAGES else None


def _title(card: Path) -> str:
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    found = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    return found[1].strip() if found else ""
