"""Shapes of towers small enough to test with."""

from twinbert.encoders.config import TowerConfig

TRIGRAMS = TowerConfig(embedding_size=32, hidden_size=32, layers=2, heads=4, ffn_size=32, max_tokens=12, dimension=32)
WORDPIECE = TowerConfig(
    tokenizer="wordpiece",
    vocab_size=16,
    embedding_size=64,
    hidden_size=32,
    layers=2,
    heads=4,
    ffn_size=48,
    max_tokens=12,
    embedding_norm=True,
    skip=True,
    dimension=24,
)
