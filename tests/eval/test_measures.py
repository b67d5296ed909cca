import subprocess
import sys

import pytest
from eval_world import EXPECTED, MEANS, QRELS, RANKINGS, falling
from hypothesis import given, settings
from hypothesis import strategies as st
from twinbert.errors import InvalidInputError, MissingExtraError
from twinbert.eval import Judged, Qrels, Run, judge, parse_measures

NAMES = ("nDCG@10", "R@10", "RR@10", "R@2")


def judged(rankings: dict[str, list[str]], qrels: dict[str, dict[str, int]], *measures: str) -> Judged:
    run = Run.from_rankings([falling(query, names) for query, names in rankings.items()])
    return judge(run, Qrels(qrels), parse_measures(measures))


def test_values_worked_out_by_hand() -> None:
    found = judged(RANKINGS, QRELS, *NAMES)
    assert {query: pytest.approx(row) for query, row in EXPECTED.items()} == found.per_query
    assert found.means == pytest.approx(MEANS)
    assert found.unjudged == 1
    assert list(found.means) == list(NAMES)
    assert list(found.per_query["q3"]) == list(NAMES)


def test_a_run_without_any_answer_scores_zero() -> None:
    found = judged({}, QRELS, "RR@10", "nDCG@10")
    assert found.means == {"RR@10": 0.0, "nDCG@10": 0.0}
    assert set(found.per_query) == set(QRELS)


@pytest.mark.parametrize("names", [["right", "wrong"], ["wrong", "right"]])
def test_equal_scores_are_judged_in_the_order_they_are_served(names: list[str]) -> None:
    """RR with a cutoff comes from another provider than the rest, which breaks ties by id ascending."""
    tied = dict.fromkeys(["a", "b"], 0.5)
    right = {"b": 1} if names[0] == "right" else {"a": 1}  # trec_eval puts b before a
    found = judge(Run({"q": tied}), Qrels({"q": right}), parse_measures(["RR@10", "RR", "P@1"]))
    first = names.index("right") + 1
    assert found.means == {"RR@10": 1 / first, "RR": 1 / first, "P@1": float(first == 1)}


@given(scores=st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20), right=st.integers(0, 19))
@settings(max_examples=60, deadline=None)
def test_reciprocal_rank_is_one_over_the_place_in_the_run(scores: list[float], right: int) -> None:
    row = {f"d{place}": score for place, score in enumerate(scores)}
    ranked = sorted(row, key=lambda name: (row[name], name), reverse=True)
    name = f"d{right}"
    found = judge(Run({"q": row}), Qrels({"q": {name: 1}}), parse_measures(["RR@20", "RR"]))
    expected = 1 / (ranked.index(name) + 1) if name in row else 0.0
    assert found.means == {"RR@20": expected, "RR": expected}


def test_measures_have_one_name_and_their_cutoff() -> None:
    measures = parse_measures(["MRR@10", "RR@10", "AP", "R(rel=2)@100"])
    assert [(measure.name, measure.cutoff) for measure in measures] == [
        ("RR@10", 10),
        ("AP", None),
        ("R(rel=2)@100", 100),
    ]


def test_a_higher_grade_can_be_asked_for() -> None:
    assert judged({"q": ["b", "a"]}, {"q": {"a": 2, "b": 1}}, "RR(rel=2)@10").means == {"RR(rel=2)@10": 0.5}


def test_all_bad_measures_are_refused_together() -> None:
    """R@0 and P@-1 would end the process in trec_eval; the rest is unknown, malformed or computed elsewhere."""
    bad = ["R@0", "P@-1", "R", "recall@10", "nDCG@ten", "nDCG(", "R@True", "R(rel=0)@5", "ERR@10", "", "R@5; R@6"]
    with pytest.raises(InvalidInputError) as caught:
        parse_measures(["nDCG@10", *bad])
    assert str(caught.value) == (
        f"cannot measure {', '.join(map(repr, bad))}: write measures as ir_measures does, "
        "with cutoffs from 1, such as nDCG@10, R@100, RR@10 or AP"
    )


def test_nothing_to_judge_by_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="the qrels hold no query: there is nothing to judge by"):
        judged({"q": ["d"]}, {}, "AP")


def test_without_ir_measures_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_measures", None)
    with pytest.raises(MissingExtraError) as caught:
        parse_measures(["AP"])
    assert str(caught.value) == ('packages for judged measures are not installed: pip install "twinbert[eval]"')


def test_importing_the_room_loads_neither_ir_measures_nor_torch() -> None:
    code = "import sys, twinbert.eval; print([m for m in ('ir_measures', 'torch', 'transformers') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
