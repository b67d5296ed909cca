"""Models by name: the shapes that a training run can start from without writing them down."""

from __future__ import annotations

from ..config import TowerConfig, TwinConfig

PRESETS: dict[str, TwinConfig] = {
    "paper": TwinConfig(tower=TowerConfig()),
    "mini": TwinConfig(
        tower=TowerConfig(
            tokenizer="wordpiece",
            vocab_size=30_522,
            embedding_size=384,
            hidden_size=384,
            layers=6,
            heads=12,
            ffn_size=1_536,
            max_tokens=256,
            embedding_norm=True,
            dimension=384,
        ),
        query_tokens=32,
        document_tokens=128,
    ),
    "small": TwinConfig(
        tower=TowerConfig(embedding_size=256, hidden_size=256, layers=4, heads=4, ffn_size=512, dimension=256),
    ),
    "tiny": TwinConfig(
        tower=TowerConfig(embedding_size=128, hidden_size=128, layers=2, heads=2, ffn_size=128, dimension=128),
    ),
}
"""``paper``: the paper's 6 × 512 with letter trigrams. ``mini``: 6 × 384 with WordPiece, as MiniLM has it.
``small`` and ``tiny``: the paper's kind at 4 × 256 and 2 × 128."""
