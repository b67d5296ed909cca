"""Any text has a finite unit vector, in torch, in fp32 and in int8, on both tokenisers; what is no text is refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tower_shapes import TRIGRAMS, WORDPIECE
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TowerConfig, TwinConfig
from twinbert.encoders.serving.batches import pad
from twinbert.encoders.serving.tokenizing import tokenizer_of
from twinbert.encoders.training.saving import load, save
from twinbert.encoders.training.student import Student
from twinbert.errors import InvalidInputError

MEGABYTE = 1_000_000
EMPTY = ["", " ", "\n\t ", "\u3000\u00a0"]
ODD = [
    *EMPTY,
    "🙂",
    "👩\u200d👩\u200d👧 family",
    "你好 世界",
    "Ελλάδα",
    "שלום עולם",
    "नमस्ते",
    "e\u0301\u0302\u0303",
    "\0",
    "a\0b",
    "\ufffd\ufeff\u202e",
    "[CLS] [SEP] [PAD]",
    "word " * (MEGABYTE // 5),
    "x" * MEGABYTE,
    "你" * (MEGABYTE // 3),
]
SHAPES = {
    "trigrams": TRIGRAMS,
    "trigrams-cls": dataclasses.replace(TRIGRAMS, pooling="cls", vocab_size=49_287),
    "wordpiece": WORDPIECE,
    "wordpiece-mean-tanh": dataclasses.replace(WORDPIECE, pooling="mean", skip=False, tanh=True),
}


@pytest.fixture(params=SHAPES)
def model(request: pytest.FixtureRequest, tmp_path: Path, vocabulary_file: Path) -> ModelFolder:
    torch.manual_seed(0)
    tower: TowerConfig = SHAPES[request.param]
    student = Student(TwinConfig(tower=tower, query_tokens=6, document_tokens=12)).eval()
    folder = ModelFolder(tmp_path / "model")
    save(student, folder, vocabulary_file if tower.tokenizer == "wordpiece" else None)
    return folder


def of_torch(folder: ModelFolder, texts: list[str]) -> np.ndarray:
    student = load(folder)
    ids = tokenizer_of(student.towers.config, "document", folder.tokenizer).encode(texts)
    with torch.no_grad():
        return student.towers.document(*map(torch.from_numpy, pad(ids))).numpy()


def test_every_text_has_a_finite_unit_vector_and_what_is_cut_off_changes_nothing(model: ModelFolder) -> None:
    expected = of_torch(model, ODD)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    fp32, int8 = (TwinEncoder.from_pretrained(model.root, precision=kind) for kind in ("fp32", "int8"))
    np.testing.assert_allclose(fp32.encode_documents(ODD), expected, atol=1e-5)
    for vectors in (int8.encode_documents(ODD), int8.encode_queries(ODD), fp32.encode_queries(ODD)):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for encoder in (fp32, int8):
        long, cut = encoder.encode_documents(["read the file " * 50_000, "read the file " * 12])
        np.testing.assert_allclose(long, cut, atol=2e-6)
        empty = encoder.encode_documents(EMPTY)
        np.testing.assert_allclose(empty, empty[[0] * len(EMPTY)], atol=2e-6)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("read", "one text where a list of texts belongs: put it in a list"),
        (["a", None], r"texts\[1\] is no text but NoneType"),
        ([b"a"], r"texts\[0\] is no text but bytes"),
        (["a", "b", "read\ud83dfile"], r"texts\[2\] holds a lone surrogate \(at character 5\), which UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(starter: TwinEncoder, texts, message: str) -> None:
    trigrams = tokenizer_of(TwinConfig(tower=TRIGRAMS, query_tokens=6, document_tokens=12), "query", None)
    for encode in (starter.encode_queries, starter.encode_documents, trigrams.encode):
        with pytest.raises(InvalidInputError, match=message):
            encode(texts)
