"""``search``, ``eval`` and ``index build`` with what the rerank is made of: candidates, weights, explanations."""

import json
import re
from pathlib import Path

import pytest
from twinbert import Retriever

CODE = '{"_id": "part", "title": "Spare part", "text": "XK-4711b for the pump"}\n'


@pytest.fixture
def parts(tmp_path: Path, corpus: Path, run) -> Path:
    rows = corpus.read_text() + CODE
    assert run("index", "build", tmp_path / "parts.index", "-", stdin=rows.encode()).status == 0
    return tmp_path / "parts.index"


def hits_of(result) -> list[dict]:
    assert result.status == 0, result.err
    return json.loads(result.out)["hits"]


def test_candidates_by_word(parts: Path, run) -> None:
    lexical = run("search", parts, "4711b", "--candidates", "lexical", "--format", "jsonl")
    assert [hit["id"] for hit in hits_of(lexical)] == ["part"]
    both = run("search", parts, "4711b", "--candidates", "both", "--format", "jsonl")
    assert next(hit["id"] for hit in hits_of(both)) == "part"
    assert len(hits_of(both)) == 4


def test_weights_and_explanations_for_programs(parts: Path, run) -> None:
    arguments = ("--weights", "lexical=0.1, unfamiliar=0", "--explain", "--candidates", "both", "--format", "jsonl")
    hit = hits_of(run("search", parts, "4711b", *arguments))[0]
    told = hit["explanation"]
    assert list(told) == ["cosine", "segment", "lexical", "head", "weights", "found_by", "contributions"]
    assert told["weights"] == {"cosine": 1, "lexical": 0.1, "segments": 0.3, "head": 0, "unfamiliar": 0}
    assert told["found_by"] == ["dense", "lexical"]
    assert told["contributions"]["lexical"] == pytest.approx(0.1 * told["lexical"])
    assert sum(told["contributions"].values()) == pytest.approx(hit["score"], abs=1e-6)


def test_an_explanation_for_people(parts: Path, run) -> None:
    shown = run("search", parts, "4711b", "-k", "1", "--explain", "--candidates", "both").out
    assert re.search(
        r"\n +-?\d\.\d{3} cosine \+ \d\.\d{3} lexical \(BM25 \d\.\d\) · found by dense and lexical\n", shown
    )


def test_a_matching_segment_is_shown_in_place_of_the_beginning(tmp_path: Path, run) -> None:
    text = (
        " ".join(["The pump is described at length in this manual."] * 8) + " Replace the worn gasket every year. " * 6
    )
    corpus = json.dumps({"_id": "manual", "text": text}).encode()
    built = run("index", "build", tmp_path / "i", "-", "--segments", "9x12", stdin=corpus)
    assert built.status == 0
    shown = run("search", tmp_path / "i", "worn gasket", "--explain").out
    assert re.search(r"cosine \+ \d\.\d{3} segment \d+", shown)
    assert "gasket" in shown.splitlines()[3]
    assert "gasket" not in "".join(run("search", tmp_path / "i", "worn gasket").out.splitlines()[1:])


def test_an_index_is_built_with_what_was_asked_for(tmp_path: Path, corpus: Path, run) -> None:
    arguments = ("--language", "none", "--segments", "0", "--no-lexical-candidates")
    assert run("index", "build", tmp_path / "i", corpus, *arguments).status == 0
    with Retriever.open(tmp_path / "i") as retriever:
        schema = retriever.index.schema.evidence
        assert json.loads(schema.note) == {
            "version": 1,
            "language": None,
            "segments": 0,
            "segment_words": 30,
            "segment_width": 0,
        }
        assert retriever.index.options.lexical is False
    refused = run("search", tmp_path / "i", "root", "--candidates", "both")
    assert refused.status == 1
    assert "lexical" in refused.err
    assert run("index", "reencode", tmp_path / "i", "--model", "starter", "--language", "en").status == 0
    with Retriever.open(tmp_path / "i") as retriever:
        assert json.loads(retriever.index.schema.evidence.note)["language"] == "en"
    refused = run("index", "build", tmp_path / "j", corpus, "--segments", "many")
    assert refused.status == 2
    assert "'many' names no segments: write them like 4, 4x30 or 4x30x128" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("lexical", "'lexical' is no number: write it like lexical=0.05"),
        ("lexical=much", "'lexical=much' is no number"),
        ("bm25=1", "'bm25=1' names none of cosine, lexical, segments, head, unfamiliar, or one twice"),
        ("head=1,head=2", "'head=2' names none of"),
    ],
)
def test_weights_that_cannot_be_read_are_wrong_usage(parts: Path, run, weights: str, message: str) -> None:
    result = run("search", parts, "pump", "--weights", weights)
    assert result.status == 2
    assert message in " ".join(result.err.split())


def test_stages_of_an_evaluation_are_the_parts_that_weigh(parts: Path, tmp_path: Path, run) -> None:
    (tmp_path / "q.jsonl").write_text('{"_id": "q", "text": "4711b"}\n')
    (tmp_path / "q.tsv").write_text("query-id\tcorpus-id\tscore\nq\tpart\t1\n")
    files = ("--queries", tmp_path / "q.jsonl", "--qrels", tmp_path / "q.tsv", "--json")
    found = json.loads(run("eval", parts, *files, "--candidates", "both").out)
    names = [stage["stage"] for stage in found["stages"]]
    assert names == ["cosine exact", "cosine ANN", "+ segments", "+ lexical"]
    assert found["judged"]["nDCG@10"] == 1
    found = json.loads(run("eval", parts, *files, "--weights", "lexical=0,head=0.5").out)
    assert [stage["stage"] for stage in found["stages"]][2:] == ["+ segments", "+ residual"]


def test_a_model_tells_its_weights(run) -> None:
    assert json.loads(run("model", "info", "starter", "--json").out)["weights"]["lexical"] > 0
    assert "lexical=0.0" in run("model", "info", "starter").out
