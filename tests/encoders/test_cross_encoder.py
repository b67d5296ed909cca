"""A cross-encoder's scores against transformers' own, pair by pair, and the folders it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from twinbert.encoders.training.cross_encoder import CrossEncoder
from twinbert.errors import InvalidInputError, ModelError

QUERIES = ["how do i open a file", "read", "", "close the stream " * 20, "open", "naïve 🙂"]
DOCUMENTS = ["open a file", "the socket", "a file", "write", "read the file " * 20, ""]


def one_by_one(folder: Path) -> list[torch.Tensor]:
    """Logits of each pair alone, without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [
            model(**tokenizer([query], [document], truncation=True, max_length=24, return_tensors="pt")).logits[0]
            for query, document in zip(QUERIES, DOCUMENTS, strict=True)
        ]


def test_scores_are_the_sigmoid_of_transformers_own_logits(tiny_teacher: Path) -> None:
    expected = [torch.sigmoid(logits.double())[0].item() for logits in one_by_one(tiny_teacher)]
    found = CrossEncoder.load(tiny_teacher, local_files_only=True).score(QUERIES, DOCUMENTS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    assert np.diff(np.sort(found)).min() > 1e-5  # the pairs are told apart, by ten times the tolerance


def test_of_two_labels_the_second_is_the_match(bare_checkpoint: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    AutoModelForSequenceClassification.from_pretrained(bare_checkpoint, num_labels=2).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(bare_checkpoint).save_pretrained(tmp_path)
    expected = [torch.softmax(logits.double(), 0)[1].item() for logits in one_by_one(tmp_path)]
    found = CrossEncoder.load(tmp_path, local_files_only=True).score(QUERIES, DOCUMENTS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_saved_and_loaded_it_is_the_same_teacher_at_the_same_length(tiny_teacher: Path, tmp_path: Path) -> None:
    teacher = CrossEncoder.load(tiny_teacher, 12)
    teacher.save(tmp_path / "again")
    again = CrossEncoder.load(tmp_path / "again")
    assert again.longest == 12
    assert again.fingerprint == teacher.fingerprint
    assert again.score(QUERIES, DOCUMENTS).tolist() == teacher.score(QUERIES, DOCUMENTS).tolist()
    assert CrossEncoder.load(tiny_teacher, 13).fingerprint != teacher.fingerprint


def test_no_pairs_have_no_scores(tiny_teacher: Path) -> None:
    assert CrossEncoder.load(tiny_teacher).score([], []).shape == (0,)


def test_what_cannot_score_is_refused(bare_checkpoint: Path, tiny_teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no trained classifier"):
        CrossEncoder.load(bare_checkpoint)
    with pytest.raises(ModelError, match="no sequence classifier that transformers can load"):
        CrossEncoder.load(tmp_path / "nowhere", local_files_only=True)
    with pytest.raises(InvalidInputError, match="this model takes from 8 to 32"):
        CrossEncoder.load(tiny_teacher, 33)
    AutoModelForSequenceClassification.from_pretrained(bare_checkpoint, num_labels=3).save_pretrained(tmp_path / "nli")
    AutoTokenizer.from_pretrained(bare_checkpoint).save_pretrained(tmp_path / "nli")
    with pytest.raises(ModelError, match="tells 3 labels apart"):
        CrossEncoder.load(tmp_path / "nli")


def test_damaged_weights_are_refused(tiny_teacher: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_teacher, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="no sequence classifier that transformers can load"):
        CrossEncoder.load(tmp_path / "cut")
    shutil.copytree(tiny_teacher, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "hidden_size": 64}))
    with pytest.raises(ModelError, match="no sequence classifier that transformers can load"):
        CrossEncoder.load(tmp_path / "other")
