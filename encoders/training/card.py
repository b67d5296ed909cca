"""The model card: ``README.md`` written from the files of a run, and from nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from ...errors import ModelError
from ..config import SIDES, Side, TwinConfig, read_config
from ..folder import ModelFolder

RECIPE = "recipe.toml"
"""The run as it was configured."""
TRAINING = "training.json"
"""What the run measured of itself."""
PARITY = "parity.json"
"""What the export measured of its graphs."""


@dataclass(frozen=True, kw_only=True)
class CardFacts:
    """What no file of the folder says.

    name: the card's title. origin: a paragraph on where the model comes from. base_model: a hub id. license: as the
    hub names it. language: as ISO 639 codes. What is None is left out.
    """

    name: str
    origin: str = ""
    base_model: str | None = None
    license: str | None = None
    language: str | list[str] | None = None


def write_card(folder: ModelFolder, facts: CardFacts) -> None:
    """Write the card of a saved model over the one that is there.

    Shape and sizes come from the folder; the recipe and the figures from ``recipe.toml``, ``training.json`` and
    ``parity.json`` where they lie beside ``config.json``.

    Raises ModelError, naming the file, for one that is malformed.
    """
    config = read_config(folder.config)
    parts = [
        f"---\n{_front_matter(facts)}\n---",
        f"# {facts.name}",
        facts.origin,
        "## Shape",
        _table(_shape(config)),
        _crossings(config),
        "## Use",
        USE,
        *_section("Recipe", _recipe(folder.root / RECIPE)),
        *_section("Training", _figures(folder.root / TRAINING)),
        *_section("int8 against fp32", _figures(folder.root / PARITY)),
        "## Files",
        _table([("file", "MB"), *_sizes(folder, config)]),
    ]
    folder.card.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


USE = """\
```python
from twinbert import Document, Retriever

documents = [Document("svc", "the service restarts at midnight")]
retriever = Retriever.build("docs.index", documents, "path/or/hub-id/of/this/model")
```"""


def _front_matter(facts: CardFacts) -> str:
    data = ModelCardData(
        language=facts.language,
        license=facts.license,
        library_name="twinbert",
        tags=["retrieval", "twinbert", "two-tower"],
        base_model=facts.base_model,
    )
    return str(data.to_yaml())


def _shape(config: TwinConfig) -> list[tuple[str, ...]]:
    sides: tuple[Side, ...] = SIDES if config.query_tower is not None else ("document",)
    columns = [_tower(config, side) for side in sides]
    heads = {"shared": "both towers, shared", "separate": "each tower, separate"}
    names = [heads.get(config.towers, f"{side} tower") for side in sides]
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return [("", *names), *rows, ("tokens read", *_tokens(config, len(sides)))]


def _tower(config: TwinConfig, side: Side) -> dict[str, str]:
    tower = config.tower_of(side)
    pooling = {"weighted": "weighted average", "cls": "first position", "mean": "mean"}[tower.pooling]
    return {
        "tokenizer": f"{tower.tokenizer}, {tower.vocab_size:,} ids",
        "layers": f"{tower.layers} × {tower.hidden_size}, {tower.heads} heads, FFN {tower.ffn_size}",
        "pooling": f"{pooling} and one of the token vectors" if tower.skip else pooling,
        "vectors": f"{tower.dimension}, unit length" + (", of a tanh" if tower.tanh else ""),
    }


def _tokens(config: TwinConfig, columns: int) -> list[str]:
    if columns == 2:
        return [str(config.query_tokens), str(config.document_tokens)]
    return [f"{config.query_tokens} of a query, {config.document_tokens} of a document"]


def _crossings(config: TwinConfig) -> str:
    if config.crossing is None:
        return "It serves the cosine alone, until a residual head is trained on it."
    crossing = config.crossing
    added = "added to the cosine" if crossing.cosine else "in place of the cosine"
    share = "" if config.head_share == 1 else f", at {config.head_share:g} of its trained size"
    return (
        f"It serves the cosine, and a residual head on the same vectors ({crossing.combination}, {crossing.residual}) "
        f"{added}{share}."
    )


def _section(title: str, text: str) -> list[str]:
    return [f"## {title}", text] if text else []


def _recipe(path: Path) -> str:
    return f"```toml\n{path.read_text(encoding='utf-8').strip()}\n```" if path.is_file() else ""


def _figures(path: Path) -> str:
    if not path.is_file():
        return ""
    try:
        return _tables(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error})") from error


def _tables(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """JSON as Markdown: a list of objects is a table, an object's plain values another, what it nests follows."""
    if _is_table(value):
        names = list(dict.fromkeys(name for row in value for name in row))
        return _table([tuple(names), *(tuple(_plain(row.get(name)) for name in names) for row in value)])
    if not isinstance(value, dict):
        return _plain(value)
    nested = {name: part for name, part in value.items() if isinstance(part, dict) or _is_table(part)}
    rows = [(name, _plain(part)) for name, part in value.items() if name not in nested]
    parts = [_table([("measure", "value"), *rows])] if rows else []
    return "\n\n".join([*parts, *(f"{name}:\n\n{_tables(part)}" for name, part in nested.items())])


def _is_table(value: Any) -> bool:  # noqa: ANN401 - any JSON value
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _plain(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its header."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _sizes(folder: ModelFolder, config: TwinConfig) -> list[tuple[str, str]]:
    """Megabytes of the weights and of what serving reads."""
    names = [folder.name_of(folder.weights), *config.files]
    paths = {name: folder.root / name for name in names}
    return [(name, f"{path.stat().st_size / 1e6:.3g}") for name, path in paths.items() if path.is_file()]
