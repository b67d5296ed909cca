"""Tuning on the command line: what is read, what is printed, what is refused."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from twinbert.errors import InvalidInputError

pytestmark = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="training is tested on Python 3.11")

QUICK = ["--set", "epochs=1", "--set", 'precision="fp32"', "--set", "blends=[1.0]", "--set", "negatives=2"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    import torch
    from twinbert.encoders import ModelFolder
    from twinbert.encoders.config import TowerConfig, TwinConfig
    from twinbert.encoders.training.saving import save
    from twinbert.encoders.training.student import Student

    torch.manual_seed(0)
    tower = TowerConfig(embedding_size=16, hidden_size=16, layers=1, heads=2, ffn_size=16, max_tokens=8, dimension=16)
    folder = ModelFolder(tmp_path / "model")
    save(Student(TwinConfig(tower=tower, query_tokens=8, document_tokens=8, crossing=None)).eval(), folder, None)
    return folder.root


def write_beir(folder: Path, splits: dict[str, range]) -> Path:
    (folder / "qrels").mkdir(parents=True)
    rows = range(30)
    texts = [json.dumps({"_id": f"d{row}", "title": "on", "text": f"number {row}"}) for row in rows]
    (folder / "corpus.jsonl").write_text("\n".join(texts) + "\n")
    asked = [json.dumps({"_id": f"q{row}", "text": f"where is {row}"}) for row in rows]
    (folder / "queries.jsonl").write_text("\n".join(asked) + "\n")
    for split, queries in splits.items():
        lines = [f"q{query}\td{document}\t{int(document == query)}" for query in queries for document in (query, 29)]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *lines]) + "\n")
    return folder


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """Twelve questions to learn from, five to report, and a test split that must never be read."""
    folder = write_beir(tmp_path / "beir", {"train": range(12), "dev": range(12, 17)})
    (folder / "qrels" / "test.tsv").write_text("this is no qrels file")
    return folder


def test_it_reports_in_json_and_writes_a_model(tmp_path: Path, model: Path, beir: Path, run) -> None:
    out = tmp_path / "tuned"
    done = run("train", "tune", model, beir, out, *QUICK, "--seed", "3", "--json")
    assert (done.status, done.err) == (0, "")
    report = json.loads(done.out)
    assert report.pop("model") == str(out)
    assert report == json.loads((out / "tune.json").read_text())
    assert (report["questions"], report["held_out"]) == (6, 6)
    assert report["reported"]["nDCG@10"]["questions"] == 5
    assert run("model", "info", out).status == 0


def test_it_prints_a_table_and_a_verdict(tmp_path: Path, model: Path, beir: Path, run) -> None:
    general = tmp_path / "general.txt"
    general.write_text("a text of any kind\nanother one\n")
    more = write_beir(tmp_path / "more", {"train": range(10, 25)})
    arguments = [model, beir, tmp_path / "tuned", *QUICK, "--mix", more, "--general", general, "--query-tower-only"]
    done = run("train", "tune", *arguments)
    assert done.status == 0
    for name in ("held out, AUC by question", "held out, nDCG@10", "reported, nDCG@10", "neighbours kept"):
        assert name in done.out
    assert "held out, served nDCG@10, by weights" in done.out
    weights, verdict = done.err.splitlines()
    assert re.fullmatch(r"weights: cosine=1,lexical=[0-9.]+,segments=[0-9.]+,head=[0-9.]+,unfamiliar=2", weights)
    assert verdict.startswith(("tuned, 100% of the way from", "no change: the gain on the questions held out"))


def test_a_teacher_s_scores_stand_beside_the_labels(tmp_path: Path, beir: Path) -> None:
    from twinbert.cli.tune_data import read_domain

    scores = tmp_path / "scored.jsonl"
    rows = [("where is 0", "on number 0", 0.9), ("where is 1", "on number 7", 0.2), ("new", "on number 3", 0.8)]
    rows += [("where is 13", "on number 3", 0.8)]  # a question of the dev split
    scores.write_text("".join(json.dumps({"query": q, "document": d, "score": s}) + "\n" for q, d, s in rows))
    domain = read_domain(beir, scores=scores)
    found = {
        (domain.queries[pair.query], domain.documents[pair.document]): (pair.label, pair.score)
        for pair in domain.pairs
        if pair.score is not None
    }
    assert found == {
        ("where is 0", "on number 0"): (1.0, 0.9),
        ("where is 1", "on number 7"): (None, 0.2),
        ("new", "on number 3"): (None, 0.8),
    }
    assert len(domain.pairs) == 24 + 2
    assert len(domain.reported) == 10


def test_general_texts_are_json_lines_or_lines(tmp_path: Path) -> None:
    from twinbert.cli.tune_data import read_general

    rows, lines = tmp_path / "general.jsonl", tmp_path / "general.txt"
    rows.write_text('{"title": "on", "text": "tables"}\n{"_id": 3, "text": "chairs"}\n{"text": ""}\n')
    lines.write_text("on tables\n\nchairs\n")
    assert read_general(rows) == read_general(lines) == ["on tables", "chairs"]
    rows.write_text('{"text": "tables"}\n{"title": "on"}\n')
    with pytest.raises(InvalidInputError, match=r"general\.jsonl:2: text, and title where there is one, must be str"):
        read_general(rows)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere", "beir", "out"], 1, "nowhere/model.safetensors is missing, and tuning needs the fp32 weights"),
        (["starter", "beir", "out"], 1, "twinbert train distill"),
        (["model", "no-folder", "out"], 1, "no-folder: no corpus.jsonl here"),
        (["model", "beir", "beir"], 1, "something is there already"),
        (["model", "beir", "out", "--set", "epoch=1"], 1, "no setting 'epoch' of tuning"),
        (["model", "beir", "out", "--minutes", "0"], 2, "--minutes"),
        (["model", "beir", "out", "--scores", "beir/queries.jsonl"], 1, "beir/queries.jsonl:1: "),
        (["model", "beir", "out", "--threshold", "5"], 1, "0 questions with a relevant document"),
        (["model", "beir", "out", "--general", "nothing.txt"], 1, "nothing.txt: not a text file"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    arguments: list[str],
    status: int,
    message: str,
    tmp_path: Path,
    beir: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    run,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("train", "tune", *arguments)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1)
    assert message in done.err
    assert not Path("out").exists()


def test_weights_are_fitted_on_the_questions_held_out(tmp_path: Path, model: Path, beir: Path, run) -> None:
    from twinbert.cli.tune_data import read_domain
    from twinbert.cli.tune_weights import held_out
    from twinbert.encoders.config import Weights, read_config
    from twinbert.encoders.training.tune import TuneData
    from twinbert.encoders.training.tune_options import TuneOptions

    report = json.loads(run("train", "tune", model, beir, tmp_path / "tuned", *QUICK, "--json").out)
    config = read_config(tmp_path / "tuned" / "config.json")
    assert config.weights == Weights(**report["weights"])
    before, after = report["weights_ndcg"]
    assert after >= before
    domain = read_domain(beir)
    queries, qrels = held_out(domain, TuneData([domain]), TuneOptions())
    assert len(queries) == report["held_out"]
    for query in queries:
        judged = {
            str(pair.document): int(pair.value) for pair in domain.pairs if domain.queries[pair.query] == query.text
        }
        assert qrels[query.id] == judged
