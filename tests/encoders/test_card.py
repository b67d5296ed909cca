"""A card holds what the files of the run say, word for word."""

from pathlib import Path

import pytest
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import CrossingConfig, TowerConfig, TwinConfig, write_config
from twinbert.encoders.training.card import CardFacts, write_card
from twinbert.errors import ModelError

CARD = """\
---
base_model: someone/bert
language: en
library_name: twinbert
license: apache-2.0
tags:
- retrieval
- twinbert
- two-tower
---

# small

Distilled from someone/bert.

## Shape

|  | query tower | document tower |
|---|---|---|
| tokenizer | trigrams, 49,286 ids | wordpiece, 16 ids |
| layers | 1 × 24, 4 heads, FFN 32 | 2 × 32, 4 heads, FFN 48 |
| pooling | weighted average | weighted average and one of the token vectors |
| vectors | 24, unit length, of a tanh | 24, unit length |
| tokens read | 6 | 12 |

It serves the cosine, and a residual head on the same vectors (product, relu) added to the cosine, at 0.25 of its \
trained size.

## Use

```python
from twinbert import Document, Retriever

documents = [Document("svc", "the service restarts at midnight")]
retriever = Retriever.build("docs.index", documents, "path/or/hub-id/of/this/model")
```

## Recipe

```toml
pairs = 100
[schedule]
epochs = 2
```

## Training

| measure | value |
|---|---|
| steps | 120 |
| loss | 0.06912 |

held_out:

| epoch | auc |
|---|---|
| 1 | 0.8123 |
| 2 |  |

## int8 against fp32

| measure | value |
|---|---|
| layers | 5, 4, 3 |

query:

| recipe | cosine_mean | ms |
|---|---|---|
| per token \\| smoothed | 0.9981 | 2.5 |

## Files

| file | MB |
|---|---|
| model.safetensors | 1.52 |
| head.safetensors | 0.001 |
"""


def folder_of(root: Path, config: TwinConfig) -> ModelFolder:
    folder = ModelFolder(root)
    write_config(config, folder.config)
    return folder


def asymmetric() -> TwinConfig:
    query = TowerConfig(
        embedding_size=24, hidden_size=24, layers=1, heads=4, ffn_size=32, max_tokens=6, dimension=24, tanh=True
    )
    return TwinConfig(
        tower=WORDPIECE,
        query_tower=query,
        shared=False,
        crossing=CrossingConfig(combination="product", residual="relu"),
        query_tokens=6,
        document_tokens=12,
        head_share=0.25,
        files={"head.safetensors": ""},
    )


def test_the_whole_card_of_a_small_run(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, asymmetric())
    folder.weights.write_bytes(bytes(1_520_000))
    folder.head.write_bytes(bytes(1_000))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "recipe.toml").write_text("pairs = 100\n[schedule]\nepochs = 2\n")
    (tmp_path / "training.json").write_text(
        '{"steps": 120, "loss": 0.06912, "held_out": [{"epoch": 1, "auc": 0.81234}, {"epoch": 2}]}'
    )
    (tmp_path / "parity.json").write_text(
        '{"query": [{"recipe": "per token | smoothed", "cosine_mean": 0.99811, "ms": 2.5}], "layers": [5, 4, 3]}'
    )
    facts = CardFacts(
        name="small",
        origin="Distilled from someone/bert.",
        base_model="someone/bert",
        license="apache-2.0",
        language="en",
    )
    write_card(folder, facts)
    assert folder.card.read_text(encoding="utf-8") == CARD
    write_card(folder, facts)
    assert folder.card.read_text(encoding="utf-8") == CARD


def test_what_is_not_known_is_not_told(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, TwinConfig(tower=TRIGRAMS, crossing=None, query_tokens=6, document_tokens=12))
    write_card(folder, CardFacts(name="plain"))
    card = folder.card.read_text(encoding="utf-8")
    assert card.startswith(
        "---\nlibrary_name: twinbert\ntags:\n- retrieval\n- twinbert\n- two-tower\n---\n\n# plain\n\n## Shape"
    )
    assert "It serves the cosine alone, until a residual head is trained on it." in card
    assert [line for line in card.splitlines() if line.startswith("## ")] == ["## Shape", "## Use", "## Files"]


@pytest.mark.parametrize(
    ("crossing", "shared", "told"),
    [
        (CrossingConfig(cosine=False), True, "(max, linear) in place of the cosine."),
        (CrossingConfig(), False, "(max, linear) added to the cosine."),
    ],
)
def test_crossings_and_towers_are_told_apart(tmp_path: Path, crossing: CrossingConfig, shared: bool, told: str) -> None:
    config = TwinConfig(tower=TRIGRAMS, shared=shared, crossing=crossing, query_tokens=6, document_tokens=12)
    folder = folder_of(tmp_path, config)
    write_card(folder, CardFacts(name="m"))
    card = folder.card.read_text(encoding="utf-8")
    assert told in card
    assert ("| both towers, shared |" if shared else "| each tower, separate |") in card


def test_a_damaged_file_of_figures_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, TwinConfig(tower=TRIGRAMS, query_tokens=6, document_tokens=12))
    (tmp_path / "parity.json").write_text("{")
    with pytest.raises(ModelError, match="parity.json: not JSON"):
        write_card(folder, CardFacts(name="m"))
    assert not folder.card.exists()
