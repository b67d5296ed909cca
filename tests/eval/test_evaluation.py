"""The whole evaluation of a real model on a small corpus, beside an oracle that scores every document itself."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from twinbert.encoders import TwinEncoder, Weights
from twinbert.errors import InvalidInputError
from twinbert.eval import EvaluateOptions, Evaluation, Qrels, Run, evaluate, judge, parse_measures
from twinbert.index import BuildOptions
from twinbert.retrieval import Document, Query, Retriever, SearchOptions

ACTIONS = ["open", "close", "copy", "delete", "rename", "compress", "read", "print", "sort", "encrypt"]
THINGS = [
    "file",
    "folder",
    "window",
    "message",
    "database",
    "list",
    "letter",
    "picture",
    "door",
    "archive",
    "table",
    "key",
]
DOCUMENTS = [Document(f"{action}-{thing}", f"{action} a {thing}") for action in ACTIONS for thing in THINGS]
QUERIES = [
    Query("q1", "make an archive smaller"),
    Query("q2", "put a list in order"),
    Query("q3", "remove a folder"),
    Query("nobody-judged", "close the door"),
]
QRELS = Qrels(
    {
        "q1": {"compress-archive": 2, "compress-file": 1},
        "q2": {"sort-list": 1, "open-door": 0},
        "q3": {"delete-folder": 1, "shred-folder": 1},
        "never-asked": {"open-door": 1},
    }
)
OPTIONS = EvaluateOptions(ks=(5, 2), measures=("R@5", "nDCG@5", "RR@2", "AP"), warmup=1)
MEASURES = parse_measures(OPTIONS.measures)
RESIDUAL = Weights(lexical=0, segments=0, head=1)
"""The order of the model's own logits."""


@pytest.fixture(scope="module")
def retriever(starter: TwinEncoder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retriever]:
    path = tmp_path_factory.mktemp("eval") / "docs.index"
    with Retriever.build(path, DOCUMENTS, starter, BuildOptions(index_key="HNSW16")) as built:
        yield built


@pytest.fixture(scope="module")
def evaluation(retriever: Retriever) -> Evaluation:
    return evaluate(retriever, QUERIES, QRELS, OPTIONS)


def expected(
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]], encoder: TwinEncoder, k: int
) -> dict[str, float]:
    """The means when every document is scored for every judged query."""
    asked = QUERIES[:3]
    run = {}
    for query, vector in zip(asked, encoder.encode_queries([query.text for query in asked]), strict=True):
        scored = dict(zip((document.id for document in DOCUMENTS), score(vector).tolist(), strict=True))
        best = sorted(scored, key=lambda name: (scored[name], name), reverse=True)[:k]
        run[query.id] = {name: scored[name] for name in best}
    return dict(judge(Run(run), Qrels({query.id: QRELS[query.id] for query in asked}), MEASURES).means)


def test_stages_say_what_scoring_every_document_says(evaluation: Evaluation, starter: TwinEncoder) -> None:
    vectors = starter.encode_documents([document.full_text for document in DOCUMENTS])
    stages = {stage.name: stage for stage in evaluation.stages}
    assert list(stages) == ["cosine exact", "cosine ANN", "+ segments", "+ lexical"]
    exact = expected(lambda query: vectors @ query, starter, 5)
    assert stages["cosine exact"].measures == pytest.approx(exact)
    assert stages["cosine ANN"].measures == pytest.approx(exact)  # 120 documents: HNSW finds them all
    assert evaluation.judged is stages["+ lexical"].measures
    assert list(stages["+ lexical"].per_query) == ["q1", "q2", "q3"]


def test_what_is_judged_is_what_is_served(evaluation: Evaluation, retriever: Retriever) -> None:
    served = {
        query.id: {hit.id: hit.score for hit in retriever.search(query.text, 5, options(evaluation.depth))}
        for query in QUERIES[:3]
    }
    judged = judge(Run(served), Qrels({name: QRELS[name] for name in served}), MEASURES)
    assert evaluation.judged == pytest.approx(judged.means)


def options(depth: int) -> SearchOptions:
    return SearchOptions(depth=depth)


def test_a_depth_of_everything_reranks_everything(retriever: Retriever, starter: TwinEncoder) -> None:
    vectors = starter.encode_documents([document.full_text for document in DOCUMENTS])
    found = evaluate(
        retriever, QUERIES, QRELS, EvaluateOptions(ks=(5,), measures=OPTIONS.measures, depth=10_000, weights=RESIDUAL)
    )
    assert [stage.name for stage in found.stages] == ["cosine exact", "cosine ANN", "+ residual"]
    assert found.judged == pytest.approx(expected(lambda query: starter.score(query, vectors), starter, 5))
    assert found.depth == 10_000


def test_figures_about_the_evaluation_itself(evaluation: Evaluation) -> None:
    assert evaluation.ann == {"2-recall@2": 1.0, "5-recall@5": 1.0}
    assert (evaluation.queries, evaluation.judged_queries, evaluation.unasked_queries) == (4, 3, 1)
    assert (evaluation.documents, evaluation.index_key) == (120, "HNSW16")
    assert (evaluation.depth, evaluation.ks) == (10, (2, 5))
    assert evaluation.missing_documents == 1
    latency = evaluation.latency
    assert 0 < latency.p50 <= latency.p95 <= latency.p99
    assert (latency.queries, latency.warmup, latency.k, latency.depth) == (3, 1, 2, 10)


def test_json_has_the_stable_keys(evaluation: Evaluation) -> None:
    figures = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert list(figures) == [
        *("ann", "judged", "stages", "latency_ms"),
        *("queries", "judged_queries", "unasked_queries", "missing_documents"),
        *("documents", "index_key", "depth", "ks"),
    ]
    assert (figures["unasked_queries"], figures["missing_documents"]) == (1, 1)
    assert list(figures["judged"]) == ["R@5", "nDCG@5", "RR@2", "AP"]
    assert [list(stage) for stage in figures["stages"]] == [["stage", "measures"]] * 4
    assert figures["stages"][-1]["measures"] == figures["judged"]
    assert list(figures["latency_ms"]) == ["p50", "p95", "p99"]
    assert figures["ks"] == [2, 5]


def test_rows_and_notes_for_people(evaluation: Evaluation) -> None:
    header, *rows = evaluation.rows()
    assert header == ("stage", "R@5", "nDCG@5", "RR@2", "AP")
    assert rows[-1] == ("+ lexical", *(f"{value:.3f}" for value in evaluation.judged.values()))
    assert evaluation.notes()[0] == "3 of 4 queries judged, 120 documents, HNSW16"
    assert evaluation.notes()[1].startswith(
        "latency of 3 single queries after 1 to warm up, k 2, depth 10, one at a time, "
    )
    assert evaluation.notes()[2:] == [
        "1 judged queries are not among the queries and count nowhere",
        "1 relevant documents are not in the index and count as not found",
    ]


def test_measures_and_depth_follow_the_ks() -> None:
    assert EvaluateOptions().measures == ("R@10", "R@100", "nDCG@10", "RR@10")
    assert EvaluateOptions(ks=(20, 3, 20)).measures == ("R@3", "R@20", "nDCG@3", "RR@3")


def test_an_index_smaller_than_k(starter: TwinEncoder, tmp_path: object) -> None:
    with Retriever.build(f"{tmp_path}/small", DOCUMENTS[:3], starter) as small:
        found = evaluate(small, [Query("q", "open a file")], Qrels({"q": {"open-file": 1}}))
    assert found.ann == {"10-recall@10": 1.0, "100-recall@100": 1.0}
    assert found.judged["R@100"] == 1.0
    assert (found.documents, found.depth) == (3, 200)


def test_a_depth_that_cannot_move_recall_is_refused(retriever: Retriever) -> None:
    for depth in (1, 5):
        with pytest.raises(InvalidInputError) as caught:
            evaluate(retriever, QUERIES, QRELS, EvaluateOptions(ks=(5,), depth=depth))
        assert str(caught.value) == (
            f"depth {depth} is not above the largest k 5, so reranking could not move R@5: "
            "use more than 5, or leave it out for 10"
        )
    with pytest.raises(InvalidInputError, match="depth 6 is not above the largest k 50"):
        evaluate(retriever, QUERIES, QRELS, EvaluateOptions(ks=(5,), measures=("R@50",), depth=6))


def test_qrels_of_other_queries_are_refused(retriever: Retriever) -> None:
    with pytest.raises(InvalidInputError) as caught:
        evaluate(retriever, QUERIES, Qrels({"7": {"d": 1}, "8": {"d": 1}}), OPTIONS)
    assert str(caught.value) == (
        "none of 4 queries (such as 'q1') is among the 2 of the qrels (such as '7'): name the qrels of these queries"
    )
    with pytest.raises(InvalidInputError, match=r"none of 0 queries \(such as none\)"):
        evaluate(retriever, [], QRELS, OPTIONS)


def test_an_empty_index_is_refused(starter: TwinEncoder, tmp_path: object) -> None:
    with Retriever.build(f"{tmp_path}/empty", DOCUMENTS[:1], starter) as emptied:
        emptied.delete([DOCUMENTS[0].id])
        with pytest.raises(InvalidInputError, match="the index holds no documents: there is nothing to evaluate"):
            evaluate(emptied, QUERIES, QRELS, OPTIONS)


def test_a_query_asked_twice_is_refused(retriever: Retriever) -> None:
    with pytest.raises(InvalidInputError, match="query 'q1' is answered twice: give every query its own id"):
        evaluate(retriever, [QUERIES[0], QUERIES[0]], QRELS, OPTIONS)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"ks": ()}, r"ks must be whole numbers of at least 1, one or more, not \[\]"),
        ({"ks": (10, 0)}, r"ks must be whole numbers of at least 1, one or more, not \[10, 0\]"),
        ({"ks": ("10",)}, r"ks must be whole numbers of at least 1, one or more, not \['10'\]"),
        ({"warmup": -1}, "at least 0 queries must warm up and at least 1 be timed"),
        ({"timed": 0}, "at least 0 queries must warm up and at least 1 be timed"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        EvaluateOptions(**wrong)  # type: ignore[arg-type]
