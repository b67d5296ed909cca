"""What a sentence-transformers folder says about itself: its modules, in the files where that library keeps them.

Read from sentence-transformers 6.2 (``base/modules``), its older spellings included. What a twin model cannot do is
refused by the name of file and setting; nothing is guessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from ...errors import ModelError

SENTENCE_FILES = ("*.json", "*.txt", "*.safetensors", "README.md")
"""What the hub repository is asked for: no pickles, no graphs."""
ORDER = ("Transformer", "Pooling", "Dense", "Normalize")
"""The modules that a tower has, in the one order that it has them."""

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A Dense module: its weights' file, the length of its output, whether tanh bounds it."""

    weights: Path
    dimension: int
    tanh: bool


@dataclass(frozen=True, kw_only=True)
class SentenceFolder:
    """A sentence-transformers model as far as a twin model needs to know it.

    transformer: the folder of its checkpoint. longest: tokens that it reads; None where it leaves that to its
    tokeniser. lowercase: it lowers the case of texts before its tokeniser does anything.
    normalised: its own vectors are of unit length. prompts: what it puts before texts unasked, by name.
    """

    root: Path
    transformer: Path
    pooling: Literal["cls", "mean"]
    projection: Projection | None
    longest: int | None
    lowercase: bool
    normalised: bool
    prompts: dict[str, str]


def read_sentence_folder(root: Path) -> SentenceFolder:
    """Read a sentence-transformers folder's own files.

    Raises ModelError, naming the file, for one that is missing, malformed, or says what a twin model cannot do.
    """
    parts = _modules(root)
    transformer = _read_transformer(parts["Transformer"])
    settings = _read_settings(root, normalised="Normalize" in parts)
    return SentenceFolder(
        root=root,
        transformer=parts["Transformer"],
        pooling=_read_pooling(parts["Pooling"] / "config.json"),
        projection=_read_dense(parts["Dense"]) if "Dense" in parts else None,
        longest=transformer.max_seq_length,
        lowercase=bool(transformer.do_lower_case),
        normalised="Normalize" in parts,
        prompts=settings.applied,
    )


class _Module(msgspec.Struct, frozen=True):
    type: str
    path: str = ""


def _modules(root: Path) -> dict[str, Path]:
    """The folder of each module by its kind."""
    path = root / "modules.json"
    if not path.is_file():
        raise ModelError(f"{root} is not a sentence-transformers folder: it has no modules.json")
    found: dict[str, Path] = {}
    for module in _decode(path, list[_Module]):
        package, _, kind = module.type.rpartition(".")
        if not package.startswith("sentence_transformers") or kind not in ORDER:
            raise ModelError(f"{path}: module {module.type} is not supported, only {', '.join(ORDER)}")
        found[kind] = root / module.path
    kinds = [module.type.rpartition(".")[2] for module in _decode(path, list[_Module])]
    if kinds != [kind for kind in ORDER if kind in found] or not {"Transformer", "Pooling"} <= found.keys():
        raise ModelError(f"{path}: modules {', '.join(kinds)} are not {', '.join(ORDER)}, the last two optional")
    return found


class _Transformer(msgspec.Struct, frozen=True):
    max_seq_length: int | None = None
    do_lower_case: bool | None = False
    transformer_task: str = "feature-extraction"
    query_expansion: Any = None
    model_args: dict[str, Any] = {}
    model_kwargs: dict[str, Any] = {}
    config_args: dict[str, Any] = {}
    config_kwargs: dict[str, Any] = {}
    tokenizer_args: dict[str, Any] = {}
    processor_kwargs: dict[str, Any] = {}
    processing_kwargs: dict[str, Any] = {}
    tokenizer_name_or_path: str | None = None


def _read_transformer(folder: Path) -> _Transformer:
    names = ("sentence_bert_config.json", "sentence_distilbert_config.json")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        return _Transformer()
    found, plain = _decode(path, _Transformer), _Transformer()
    for name in _Transformer.__struct_fields__[2:]:
        if getattr(found, name) != getattr(plain, name):
            raise ModelError(f"{path}: {name} {getattr(found, name)} is not supported")
    if found.max_seq_length is not None and found.max_seq_length < 1:
        raise ModelError(f"{path}: max_seq_length {found.max_seq_length} is not a length")
    return found


def _read_pooling(path: Path) -> Literal["cls", "mean"]:
    """The one pooling; older files hold a flag for each kind, newer ones a name or a list of names."""
    content = _decode(path, dict[str, Any])
    flags = [
        name.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for name, value in content.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    named = content.get("pooling_mode", flags or "mean")
    modes = [named] if isinstance(named, str) else list(named)
    if modes == ["mean"]:
        return "mean"
    if modes == ["cls"]:
        return "cls"
    raise ModelError(f"{path}: pooling {' and '.join(map(str, modes))} is not supported, only mean or cls")


class _Dense(msgspec.Struct, frozen=True):
    in_features: int
    out_features: int
    activation_function: str = "torch.nn.modules.activation.Tanh"
    use_residual: bool = False
    module_input_name: str = "sentence_embedding"
    module_output_name: str | None = None


def _read_dense(folder: Path) -> Projection:
    path, weights = folder / "config.json", folder / "model.safetensors"
    found = _decode(path, _Dense)
    activation = found.activation_function.rpartition(".")[2]
    output = found.module_output_name or found.module_input_name
    if activation not in ("Tanh", "Identity"):
        raise ModelError(
            f"{path}: activation_function {found.activation_function} is not supported, only Tanh, Identity"
        )
    if found.use_residual or {found.module_input_name, output} != {"sentence_embedding"}:
        raise ModelError(f"{path}: only a Dense from sentence_embedding to itself without use_residual is supported")
    if activation == "Identity" and found.in_features == found.out_features:
        raise ModelError(f"{path}: a Dense of {found.in_features} to as many without Tanh is not supported")
    if not weights.is_file():
        raise ModelError(f"{weights} is missing: only safetensors are read, save the model again with them")
    return Projection(weights=weights, dimension=found.out_features, tanh=activation == "Tanh")


class _Settings(msgspec.Struct, frozen=True):
    model_type: str = "SentenceTransformer"
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None

    @property
    def applied(self) -> dict[str, str]:
        """Prompts that ``encode``, ``encode_query`` or ``encode_document`` put before a text without being asked."""
        unasked = {"query", "document", "passage", "corpus", self.default_prompt_name}
        return {name: text for name, text in self.prompts.items() if text and name in unasked}


def _read_settings(root: Path, *, normalised: bool) -> _Settings:
    path = root / "config_sentence_transformers.json"
    if not path.is_file():
        return _Settings()
    found = _decode(path, _Settings)
    if found.model_type != "SentenceTransformer":
        raise ModelError(f"{path}: model_type {found.model_type} is not supported, only SentenceTransformer")
    if found.similarity_fn_name not in ((None, "cosine", "dot") if normalised else (None, "cosine")):
        raise ModelError(
            f"{path}: similarity_fn_name {found.similarity_fn_name} is not supported: a twin model ranks by the cosine"
        )
    return found


def _decode(path: Path, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: copy the sentence-transformers folder whole") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise ModelError(f"{path} cannot be read ({error})") from error
