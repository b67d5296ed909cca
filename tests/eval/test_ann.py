import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.eval import k_recall
from twinbert.index import Candidates


def candidates(*rows: list[tuple[int, float]]) -> Candidates:
    return Candidates(
        np.array([[row for row, _ in query] for query in rows], dtype=np.int64),
        np.array([[score for _, score in query] for query in rows], dtype=np.float32),
    )


NONE = (-1, -np.inf)


def test_share_of_the_exact_best_by_hand() -> None:
    exact = candidates([(1, 0.9), (2, 0.8), (3, 0.7), (4, 0.6)], [(5, 0.5), (6, 0.4), (7, 0.3), (8, 0.2)])
    found = candidates([(1, 0.9), (3, 0.7), (9, 0.5), (10, 0.4)], [(8, 0.2), (7, 0.3), (6, 0.4), (5, 0.5)])
    assert k_recall(exact, found).tolist() == [0.5, 1.0]


def test_a_document_that_ties_with_the_last_counts() -> None:
    exact = candidates([(3, 0.9), (2, 0.5)])
    assert k_recall(exact, candidates([(3, 0.9), (1, 0.5)])).tolist() == [1.0]
    assert k_recall(exact, candidates([(1, 0.5), (0, 0.5)])).tolist() == [1.0]
    just_below = float(np.nextafter(np.float32(0.5), np.float32(0)))
    assert k_recall(exact, candidates([(3, 0.9), (1, just_below)])).tolist() == [0.5]


def test_a_tie_above_the_last_does_not_excuse_a_miss() -> None:
    exact = candidates([(4, 0.9), (3, 0.9), (2, 0.5)])
    assert k_recall(exact, candidates([(4, 0.9), (2, 0.5), NONE])).tolist() == [2 / 3]


def test_fewer_documents_than_k() -> None:
    exact = candidates([(1, 0.9), (0, 0.1), NONE])
    assert k_recall(exact, exact).tolist() == [1.0]
    assert k_recall(exact, candidates([(1, 0.9), NONE, NONE])).tolist() == [0.5]
    nothing = candidates([NONE, NONE, NONE])
    assert k_recall(exact, nothing).tolist() == [0.0]
    assert k_recall(nothing, nothing).tolist() == [1.0]


@given(
    scores=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    k=st.integers(1, 15),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=200, deadline=None)
def test_equals_counting_sets(scores: list[int], k: int, seed: int) -> None:
    """Oracle: a found document is right when fewer than k documents score above it."""
    order = sorted(range(len(scores)), key=lambda row: (scores[row], row), reverse=True)[:k]
    picked = np.random.default_rng(seed).permutation(len(scores))[:k].tolist()

    def padded(rows: list[int]) -> Candidates:
        return candidates([*((row, scores[row]) for row in rows), *[NONE] * (k - len(rows))])

    right = sum(sum(other > scores[row] for other in scores) < k for row in picked)
    assert k_recall(padded(order), padded(picked)).tolist() == [right / min(k, len(scores))]
