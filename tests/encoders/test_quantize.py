import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twinbert.encoders.training.quantize import quantize_matrix, quantize_table


@given(st.integers(0, 2**32 - 1))
def test_a_matrix_is_rounded_to_the_nearest_of_255_steps(seed: int) -> None:
    weight = np.random.default_rng(seed).standard_normal((16, 5)).astype(np.float32)
    matrix = quantize_matrix(weight)
    assert np.abs(matrix.numbers).max(axis=0).tolist() == [127] * 5
    assert (np.abs(matrix.numbers * matrix.scales - weight) <= matrix.scales * 0.5001).all()


def test_a_column_of_zeros_stays_zero() -> None:
    matrix = quantize_matrix(np.zeros((4, 2), dtype=np.float32))
    assert np.abs(matrix.numbers * matrix.scales).max() == 0


@given(st.integers(0, 2**32 - 1))
def test_a_table_unpacks_to_within_half_a_step(seed: int) -> None:
    table = np.random.default_rng(seed).standard_normal((6, 64)).astype(np.float32)
    packed, scales = quantize_table(table)
    numbers = np.stack([packed & 0xF, packed >> 4], axis=-1).reshape(6, 64).astype(np.int8)
    numbers[numbers > 7] -= 16
    steps = np.repeat(scales, 32, axis=1)
    # The largest of a block may lie past 7 steps by the scale's own rounding to float16.
    assert (np.abs(numbers * steps - table) <= 0.505 * steps).all()
    assert packed.shape == (6, 32)
    assert scales.shape == (6, 2)


def test_a_width_that_is_no_multiple_of_the_block_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        quantize_table(np.ones((4, 33), dtype=np.float32))
