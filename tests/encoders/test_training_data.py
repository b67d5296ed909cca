import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twinbert.encoders.serving.trigrams import TrigramTokenizer
from twinbert.encoders.training.data import BatchedPairs, TrainingSet, encode_texts, grouped_budget

Groups = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 6)), max_size=40)


@given(Groups, st.integers(1, 300))
def test_grouped_batches_hold_every_pair_once_within_the_budget(pairs: list[tuple[int, int]], budget: int) -> None:
    lengths, groups = (np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ([], [])))
    batches = [batch.tolist() for batch in grouped_budget(lengths, groups, budget)]
    assert sorted(place for batch in batches for place in batch) == list(range(len(pairs)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= budget


@given(Groups)
def test_a_group_that_fits_is_never_split(pairs: list[tuple[int, int]]) -> None:
    lengths, groups = (np.array(column, dtype=np.int64) for column in (zip(*pairs, strict=True) if pairs else ([], [])))
    homes: dict[int, set[int]] = {}
    for number, batch in enumerate(grouped_budget(lengths, groups, 40 * 60)):
        for group in groups[batch].tolist():
            homes.setdefault(group, set()).add(number)
    assert all(len(home) == 1 for home in homes.values())


def training_set() -> TrainingSet:
    texts = encode_texts(TrigramTokenizer(8), ["open", "shut", "a door", "the open window", "a gate"], None)
    return TrainingSet(
        texts,
        texts,
        queries=np.array([0, 0, 1, 1]),
        documents=np.array([2, 3, 2, 4]),
        scores=np.array([0.9, 0.1, np.nan, 0.3], dtype=np.float32),
        labels=np.array([1, np.nan, 0, 1], dtype=np.float32),
    )


def test_a_batch_encodes_each_distinct_text_once() -> None:
    (batch,) = BatchedPairs(training_set(), np.arange(4), 1_000)
    assert batch["queries"]["ids"].shape[:2] == (2, 1)
    assert batch["documents"]["ids"].shape[:2] == (3, 3)
    rows = list(zip(batch["pairs"]["queries"].tolist(), batch["pairs"]["documents"].tolist(), strict=True))
    scores = [round(score, 4) for score in np.nan_to_num(batch["pairs"]["scores"].numpy(), nan=-1).tolist()]
    assert sorted(zip(rows, scores, strict=True)) == [((0, 0), 0.9), ((0, 1), 0.1), ((1, 0), -1), ((1, 2), 0.3)]


def test_whole_queries_are_held_apart() -> None:
    data = training_set()
    kept, apart = data.held_apart(1, seed=0)
    assert sorted([*kept, *apart]) == [0, 1, 2, 3]
    assert not set(data.queries[kept]) & set(data.queries[apart])
    assert len(apart) == 2
    assert [part.tolist() for part in data.held_apart(0, seed=0)] == [[0, 1, 2, 3], []]
