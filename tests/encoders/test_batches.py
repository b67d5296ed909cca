import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twinbert.encoders.serving.batches import pad, token_budget


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 500))
def test_batches_hold_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    batches = [places.tolist() for places in token_budget(np.array(lengths, dtype=np.int64), budget)]
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= budget


@given(st.lists(st.integers(1, 300), max_size=60))
def test_shorter_texts_come_first(lengths: list[int]) -> None:
    batches = token_budget(np.array(lengths, dtype=np.int64), 400)
    assert [lengths[place] for places in batches for place in places] == sorted(lengths)


def test_padding_is_zero_and_masked() -> None:
    ids, mask = pad([np.array([5, 6, 7]), np.array([8])])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
