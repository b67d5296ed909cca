"""The WordPiece tokeniser of a sentence-transformers folder, as one ``tokenizer.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer

from ...errors import ModelError

NORMALIZER_NAMES = {
    "do_lower_case": "lowercase",
    "tokenize_chinese_chars": "handle_chinese_chars",
    "strip_accents": "strip_accents",
}
"""What transformers calls a setting, and what ``tokenizer.json`` calls it."""


def write_tokenizer(transformer: Path, target: Path, *, lowercase: bool) -> int:
    """Write the tokeniser of a checkpoint's folder to ``target`` and give its number of ids.

    ``tokenizer.json`` is taken as it is; only where it is missing is it built from ``vocab.txt``, by transformers.
    lowercase: lower the case of texts before anything else.

    Raises ModelError, naming the file, for a tokeniser that is not WordPiece, has gaps between its ids, or is told two
    things by two files.
    """
    path = transformer / "tokenizer.json"
    if path.is_file():
        content = path.read_text(encoding="utf-8")
        _require_agreement(path, _wordpiece(path, content))
    else:
        content = _from_vocabulary(transformer)
    if lowercase:
        content = _lowered(content)
    tokenizer = Tokenizer.from_str(content)
    numbers = tokenizer.get_vocab().values()
    if max(numbers) + 1 != len(set(numbers)):
        raise ModelError(
            f"{path}: {len(set(numbers))} ids up to {max(numbers)}: a vocabulary with gaps is not supported"
        )
    target.write_text(content, encoding="utf-8")
    return len(set(numbers))


def longest_text(transformer: Path) -> int | None:
    """How many tokens the tokeniser's own settings let a text have; None where they do not say."""
    longest = _settings(transformer).get("model_max_length")
    return int(longest) if isinstance(longest, int | float) and longest < 1e9 else None


def _wordpiece(path: Path, content: str) -> dict[str, Any]:
    """The file's content, found to be a WordPiece tokeniser that the library can read."""
    try:
        Tokenizer.from_str(content)
    except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
        raise ModelError(f"{path}: not a tokenizer file ({error})") from error
    found: dict[str, Any] = json.loads(content)
    if (kind := found["model"].get("type", "of no named type")) != "WordPiece":
        raise ModelError(f"{path}: {kind} is not supported, only WordPiece")
    return found


def _require_agreement(path: Path, found: dict[str, Any]) -> None:
    """Raise ModelError where ``tokenizer_config.json``, which sentence-transformers heeds, says something else."""
    normalizer, settings = found.get("normalizer") or {}, _settings(path.parent)
    if normalizer.get("type") != "BertNormalizer":
        return
    for name, ours in NORMALIZER_NAMES.items():
        if name in settings and settings[name] != normalizer.get(ours):
            raise ModelError(
                f"{path.parent / 'tokenizer_config.json'}: {name} is {settings[name]}, "
                f"tokenizer.json says {normalizer.get(ours)}: make them agree"
            )


def _settings(transformer: Path) -> dict[str, Any]:
    path = transformer / "tokenizer_config.json"
    if not path.is_file():
        return {}
    try:
        settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} cannot be read ({error})") from error
    return settings


def _from_vocabulary(transformer: Path) -> str:
    if not (transformer / "vocab.txt").is_file():
        raise ModelError(f"{transformer} has neither tokenizer.json nor vocab.txt: copy the folder whole")
    built = AutoTokenizer.from_pretrained(transformer, local_files_only=True)
    if not built.is_fast:
        raise ModelError(f"{transformer}: transformers makes no tokenizer.json of this tokeniser")
    return str(built.backend_tokenizer.to_str())


def _lowered(content: str) -> str:
    """The tokeniser with the case lowered first, as sentence-transformers' ``do_lower_case`` does it."""
    tokenizer = Tokenizer.from_str(content)
    present = [tokenizer.normalizer] if tokenizer.normalizer is not None else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *present])
    return str(tokenizer.to_str())
