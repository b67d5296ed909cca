"""Tiny models for tests of training and export; torch is there on Python 3.11 only."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

NEEDS_TORCH = [
    "test_align.py",
    "test_card.py",
    "test_checkpoint.py",
    "test_cross_encoder.py",
    "test_crossings.py",
    "test_damage.py",
    "test_distill.py",
    "test_export.py",
    "test_importing.py",
    "test_fake_quantise.py",
    "test_initialise.py",
    "test_losses.py",
    "test_odd_texts.py",
    "test_parity.py",
    "test_saving.py",
    "test_scoring.py",
    "test_start.py",
    "test_teacher_data.py",
    "test_teacher_training.py",
    "test_towers.py",
    "test_training_data.py",
    "test_training_measures.py",
    "test_tune.py",
    "test_tune_parts.py",
]
collect_ignore = [] if sys.version_info[:2] == (3, 11) else NEEDS_TORCH

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "a",
    "b",
    "c",
    "##d",
    "stream",
    "socket",
    "read",
    "write",
    "open",
    "close",
    "the",
    "file",
]


@pytest.fixture
def vocabulary_file(tmp_path: Path) -> Path:
    """A WordPiece ``tokenizer.json`` of sixteen tokens, with BERT's special tokens around each text."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordPiece({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    return path
