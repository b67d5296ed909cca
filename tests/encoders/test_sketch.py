"""Sketches: what they keep of cosines, and that they are the same tomorrow."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from twinbert.encoders.serving.sketch import cosines, sketch, to_codes


def unit_rows(n: int, dimension: int, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize(("dimension", "width"), [(384, 128), (384, 100), (128, 128), (5, 3), (4, 1)])
def test_a_sketch_is_one_orthogonal_map_brought_to_unit_length(dimension: int, width: int) -> None:
    axes = sketch(np.eye(dimension, dtype=np.float32), width)
    assert ((axes == 0) | (np.abs(axes) == 1)).all()
    assert (np.abs(axes).sum(axis=1) == 1).all(), "every entry is used once"
    rows = unit_rows(20, dimension)
    mapped = rows @ axes
    expected = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    np.testing.assert_allclose(sketch(rows, width), expected, atol=1e-5)


def test_cosines_of_codes_are_those_of_the_sketches_within_a_hundredth() -> None:
    queries, rows = sketch(unit_rows(5, 384), 128), sketch(unit_rows(300, 384, seed=1), 128)
    codes = to_codes(rows)
    assert codes.dtype == np.int8
    for query in queries:
        np.testing.assert_allclose(cosines(query, codes), rows @ query, atol=0.01)


def test_a_code_scores_the_same_wherever_it_stands() -> None:
    query, codes = sketch(unit_rows(1, 384), 128)[0], to_codes(sketch(unit_rows(1, 384, seed=2), 128))
    alone = cosines(query, codes)[0]
    for n in range(2, 40):
        assert (cosines(query, np.repeat(codes, n, axis=0)) == alone).all()


def test_signs_and_groups_are_fixed_for_good() -> None:
    axes = sketch(np.eye(6, dtype=np.float32), 3)
    assert axes.tolist() == [[-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, -1], [0, -1, 0], [1, 0, 0]]
