import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tower_shapes import TRIGRAMS
from twinbert import TwinEncoder
from twinbert.encoders import ModelFolder
from twinbert.encoders.config import TwinConfig
from twinbert.encoders.training.quantisation.parity import neighbours, overlap
from twinbert.encoders.training.quantisation.recipe import RECIPES, Int8Options
from twinbert.encoders.training.quantisation.rounding import round_gptq, round_nearest
from twinbert.encoders.training.quantisation.table import to_int4, to_int8
from twinbert.encoders.training.quantisation.texts import ExportTexts, ParityTexts, read_texts, split_texts
from twinbert.encoders.training.saving import export, load, save
from twinbert.encoders.training.student import Student
from twinbert.errors import InvalidInputError, ModelError

CALIBRATION = ["read the file", "open a stream", "close", "write to a socket and read it"]


def student(*, shared: bool = True) -> Student:
    torch.manual_seed(0)
    return Student(TwinConfig(tower=TRIGRAMS, shared=shared, query_tokens=6, document_tokens=12)).eval()


def texts(queries: int, documents: int) -> ExportTexts:
    words = [f"w{number:x}" for number in range(400)]
    chosen = np.random.default_rng(0).choice(words, (queries + documents, 5))
    made = [" ".join(row) for row in chosen]
    return ExportTexts(calibration=CALIBRATION, parity=ParityTexts(made[:queries], made[queries:]))


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
def test_every_recipe_is_measured_and_the_first_within_the_bounds_kept(tmp_path: Path, shared: bool) -> None:
    folder = ModelFolder(tmp_path / "model")
    options = Int8Options(query_bound=0.5, document_bound=0.5)
    report = save(student(shared=shared), folder, None, options, texts(60, 520))
    assert json.loads(folder.parity.read_bytes()) == json.loads(report.to_json())
    assert (report.queries, report.documents, report.bounded) == (60, 520, True)
    names = [recipe.name for recipe in RECIPES]
    for tower in ["tower"] if shared else ["query", "document"]:
        rows = [row for row in report.rows if row.tower == tower]
        assert [row.recipe for row in rows] == names
        assert [row.chosen for row in rows] == [True, False, False, False, False]
        assert report.recipes[tower] == "plain"
        assert all((row.query_overlap is None) == (tower == "document") for row in rows)
        assert all((row.both_overlap is None) == (tower == "query") for row in rows)
        assert rows[0].size_bytes == folder.graph("query", "int8", shared=shared).stat().st_size
        assert all(0.9 < row.cosine_min <= row.cosine_mean <= 1 for row in rows)


def test_the_overlap_is_that_of_the_served_vectors(tmp_path: Path) -> None:
    folder, given_texts = ModelFolder(tmp_path / "model"), texts(60, 520)
    report = save(student(), folder, None, Int8Options(recipe="plain", accept_loss=True), given_texts)
    fp32, int8 = (TwinEncoder.from_pretrained(folder.root, precision=one) for one in ("fp32", "int8"))
    queries, documents = given_texts.parity.queries, given_texts.parity.documents
    exact, mixed = (
        np.argsort(-(encoder.encode_queries(queries) @ fp32.encode_documents(documents).T), axis=1)[:, :10]
        for encoder in (fp32, int8)
    )
    shares = [len(set(one) & set(other)) / 10 for one, other in zip(exact.tolist(), mixed.tolist(), strict=True)]
    assert report.rows[0].query_overlap == pytest.approx(np.mean(shares), abs=0.002)


def test_too_great_a_loss_is_refused_and_the_old_graph_stays(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "model")
    save(student(), folder, None, Int8Options(recipe="two-part"), ExportTexts(calibration=CALIBRATION))
    before = {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()}
    options = Int8Options(recipe="plain", query_bound=1.01)
    with pytest.raises(
        ModelError, match=r"by its best recipe plain: 0\.\d+ of 1.01 \(queries alone\).*accept the loss"
    ):
        export(load(folder), folder, options, texts(60, 520))
    assert {path: path.read_bytes() for path in folder.root.rglob("*") if path.is_file()} == before
    accepted = Int8Options(recipe="plain", query_bound=1.01, accept_loss=True)
    assert not export(load(folder), folder, accepted, texts(60, 520)).rows[0].accepted
    TwinEncoder.from_pretrained(folder.root)


def test_what_was_trained_outlives_a_refused_export(tmp_path: Path) -> None:
    folder = ModelFolder(tmp_path / "model")
    with pytest.raises(ModelError, match="too few of fp32's neighbours"):
        save(student(), folder, None, Int8Options(query_bound=1.01), texts(60, 520))
    export(load(folder), folder, Int8Options(accept_loss=True), texts(60, 520))
    TwinEncoder.from_pretrained(folder.root)


def test_a_few_texts_are_measured_but_refuse_nothing(tmp_path: Path) -> None:
    report = save(student(), ModelFolder(tmp_path / "m"), None, Int8Options(query_bound=1.01), texts(3, 5))
    assert not report.bounded
    assert sum(row.chosen for row in report.rows) == 1


def test_without_texts_the_report_says_that_nothing_was_measured(tmp_path: Path) -> None:
    report = save(student(), ModelFolder(tmp_path / "m"), None, None, ExportTexts(calibration=["a"]))
    assert (report.unmeasured, report.rows, report.recipes) == (
        "no texts were given to measure by",
        [],
        {"tower": "two-part-qkv"},
    )


def test_an_unknown_recipe_is_refused_by_name() -> None:
    with pytest.raises(ModelError, match="no int8 recipe best: name one of auto, plain, smooth, two-part-qkv"):
        Int8Options(recipe="best")


def test_overlap_is_counted() -> None:
    assert overlap(np.array([[0, 1], [2, 3]]), np.array([[1, 9], [3, 2]])) == 0.75
    one_in_ten = neighbours(np.eye(20, dtype=np.float32), np.eye(20, dtype=np.float32))
    assert one_in_ten.shape == (20, 2)
    assert all(row in found for row, found in enumerate(one_in_ten))


@given(st.integers(0, 2**32 - 1))
def test_weights_and_tables_are_rounded_to_the_nearest_step(seed: int) -> None:
    numbers = np.random.default_rng(seed).standard_normal((6, 64)).astype(np.float32)
    matrix, rows, blocks = round_nearest(numbers), to_int8(numbers), to_int4(numbers)
    assert (np.abs(matrix.values - numbers) <= matrix.scales * 0.5001).all()
    assert (np.abs(rows.numbers * rows.scales - numbers) <= rows.scales * 0.5001).all()
    halves = np.stack([blocks.packed & 0xF, blocks.packed >> 4], axis=-1).reshape(6, 64).astype(np.int8)
    halves[halves > 7] -= 16
    steps = np.repeat(blocks.scales, 32, axis=1)
    # The largest of a block may lie past 7 steps by the scale's own rounding to float16.
    assert (np.abs(halves * steps - numbers) <= 0.505 * steps).all()


@given(st.integers(0, 2**32 - 1))
def test_gptq_keeps_a_product_better_than_the_nearest_steps_do(seed: int) -> None:
    generator = np.random.default_rng(seed)
    inputs = generator.standard_normal((400, 24)) @ generator.standard_normal((24, 24))
    weight = generator.standard_normal((24, 40)).astype(np.float32)
    lost = [
        np.square(inputs @ (matrix.values - weight)).sum()
        for matrix in (round_gptq(weight, inputs.T @ inputs), round_nearest(weight))
    ]
    assert lost[0] < lost[1]


def test_texts_are_shared_out_by_their_content() -> None:
    made = [f"text {number}" for number in range(700)]
    split, other = split_texts([*made, made[0]]), split_texts(made[::-1])
    assert (list(split.queries), list(split.documents)) == (list(other.queries), list(other.documents))
    assert sorted([*split.queries, *split.documents]) == sorted(made)
    assert 60 <= len(split.queries) <= 150


def test_packaged_texts_are_there_and_others_are_checked(tmp_path: Path) -> None:
    assert len(read_texts()) == 512
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(InvalidInputError, match="empty.txt: no texts: write one on each line"):
        read_texts(tmp_path / "empty.txt")
    with pytest.raises(InvalidInputError, match="missing.txt: not a text file"):
        read_texts(tmp_path / "missing.txt")
