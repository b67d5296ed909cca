"""A smaller query tower for documents that stay as they are."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tower_shapes import TRIGRAMS
from twinbert import Document, Retriever, TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TwinConfig
from twinbert.encoders.training.align import AlignOptions, align_query_tower, smaller
from twinbert.encoders.training.recipe import Schedule
from twinbert.encoders.training.saving import load, save
from twinbert.encoders.training.student import Student
from twinbert.errors import ModelError

TEXTS = [f"{act} the {thing}" for act in ("open", "close", "read") for thing in ("file", "socket", "stream", "tree")]
SCHEDULE = Schedule(epochs=60, learning_rate=3e-3, table_learning_rate=3e-3, batch_tokens=64, held_out=0)


@pytest.fixture
def base(tmp_path: Path) -> ModelFolder:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student = Student(TwinConfig(tower=TRIGRAMS, query_tokens=8, document_tokens=12)).eval()
    torch.nn.init.normal_(student.head.output.weight)
    for weight in student.towers.query.layers.parameters():  # weights of a size that makes a layer matter
        weight.data.mul_(6.0)
    folder = ModelFolder(tmp_path / "base")
    save(student, folder, None)
    return folder


def test_the_small_tower_searches_the_index_of_the_large_one(tmp_path: Path, base: ModelFolder) -> None:
    options = AlignOptions(layers=(1,))
    align_query_tower(base, TEXTS, tmp_path / "small", options, SCHEDULE, work=tmp_path / "work")
    small, large = TwinEncoder.from_pretrained(tmp_path / "small"), TwinEncoder.from_pretrained(base.root)
    assert small.config.towers == "asymmetric"
    assert (small.config.tower_of("query").layers, small.config.tower.layers) == (1, 2)
    np.testing.assert_array_equal(small.encode_documents(TEXTS), large.encode_documents(TEXTS))
    agreement = (small.encode_queries(TEXTS) * large.encode_queries(TEXTS)).sum(axis=1)
    assert similarity(smaller(load(base), options).eval().towers.query, large) < 0.9
    assert agreement.mean() >= 0.95
    documents = [Document(str(place), text) for place, text in enumerate(TEXTS)]
    Retriever.build(tmp_path / "docs.index", documents, base.root).close()
    with Retriever.open(tmp_path / "docs.index", tmp_path / "small") as retriever:
        assert [hit.id for hit in retriever.search("read the stream", k=1)] == ["10"]


def similarity(tower: torch.nn.Module, large: TwinEncoder) -> float:
    from twinbert.encoders.serving.batches import pad
    from twinbert.encoders.serving.trigrams import TrigramTokenizer

    ids, mask = pad(TrigramTokenizer(8).encode(TEXTS))
    with torch.no_grad():
        vectors = tower(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
    return float((vectors * large.encode_queries(TEXTS)).sum(axis=1).mean())


def test_all_layers_kept_is_the_same_tower(base: ModelFolder) -> None:
    large = TwinEncoder.from_pretrained(base.root, precision="fp32")
    assert similarity(smaller(load(base), AlignOptions(layers=(0, 1))).eval().towers.query, large) == pytest.approx(1)


@pytest.mark.parametrize("layers", [(), (2,), (-1, 0)])
def test_layers_that_are_not_there_are_refused(tmp_path: Path, base: ModelFolder, layers: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match="name some of the query tower's 2 layers"):
        align_query_tower(
            base, TEXTS, tmp_path / "small", AlignOptions(layers=layers), SCHEDULE, work=tmp_path / "work"
        )
