"""Options of a build, what it says of them; reencode, rebuild and export, called as a user calls them."""

import gzip
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from twinbert import Retriever, TwinEncoder
from twinbert.cli.build_options import parse_size
from twinbert.cli.usage import UsageError
from twinbert.encoders.config import read_config, write_config
from twinbert.encoders.folder import STARTER_FOLDER, ModelFolder
from twinbert.index import Index

QUERIES = '{"_id": "1", "text": "square root"}\n{"_id": "2", "text": "trim blanks"}\n'


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    path = tmp_path / "queries.jsonl"
    path.write_text(QUERIES)
    return path


@pytest.fixture
def other_model(tmp_path: Path) -> Path:
    """The starter in another vector space."""
    model = ModelFolder(tmp_path / "model")
    shutil.copytree(STARTER_FOLDER, tmp_path / "model")
    write_config(replace(read_config(model.config), space="0" * 32), model.config)
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("text", "size"),
    [("2G", 2_000_000_000), ("1.5Gi", 1_610_612_736), ("512MB", 512_000_000), ("64 kib", 65_536), ("4096", 4_096)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "2X", "-1G", "2 G B", "1e9", "٢G", "nan", "2G2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_size(text)


def test_options_are_stored_and_the_choice_is_told(tmp_path: Path, corpus: Path, queries: Path, run) -> None:
    options = ["--index-key", "HNSW8,SQ8", "--memory", "2G", "--target-recall", "0.9", "--target-k", "2"]
    options += ["--vector-type", "fp16", "--tune-queries", queries]
    result = run("index", "build", tmp_path / "x", corpus, *options)
    assert result.status == 0
    chosen, effort = result.err.splitlines()
    assert re.fullmatch(
        r"HNSW8,SQ8: asked for; index about 1\.\d kB, vectors about 2\.3 kB; building takes about .* of memory", chosen
    )
    assert re.fullmatch(
        r"efSearch \d+(, \d+ times as many scored again)?: finds 100\.0% \(100\.0% to 100\.0%\) of the true 2 nearest "
        rf"in \d+\.\d\d ms, target 90\.0%, tuned with 2 queries of {re.escape(str(queries))}",
        effort,
    )
    with Index.open(tmp_path / "x") as index:
        stored = index.options
    assert (stored.index_key, stored.memory, stored.vector_type) == ("HNSW8,SQ8", 2_000_000_000, "fp16")
    assert (stored.target_recall, stored.target_k, stored.history) == (0.9, 2, 100)


def test_a_target_that_is_not_met_is_told_plainly(tmp_path: Path, run) -> None:
    rows = "".join(json.dumps({"_id": str(n), "text": f"number {n} of {n * n}"}) + "\n" for n in range(1_200))
    options = ["--index-key", "IVF4,PQ2x4", "--target-recall", "0.999", "--target-k", "5"]
    result = run("index", "build", tmp_path / "x", "-", *options, stdin=rows.encode())
    assert result.status == 0
    lines = result.err.splitlines()
    assert lines[1].endswith("tuned with 500 titles and spans of documents")
    assert re.fullmatch(
        r"note: the target recall 99\.9% at 5 is not met by any search effort: build with a finer --index-key "
        r"\(HNSW64, or Flat for exact search\), or search with --exact",
        lines[2],
    )
    shown = run("index", "info", tmp_path / "x").out
    assert "\nthe target recall 99.9% at 5 is not met by any search effort" in shown
    assert re.search(r"\nnprobe +rescored +recall@5 +95 % interval +ms\n", shown)
    assert len(re.findall(r" chosen\n", shown)) <= 1


def test_info_tells_the_tuning_to_people_and_to_programs(tmp_path: Path, corpus: Path, run) -> None:
    run("index", "build", tmp_path / "x", corpus, "--index-key", "HNSW8", "--target-k", "2")
    found = json.loads(run("index", "info", tmp_path / "x", "--json").out)
    assert found["reason"] == "asked for"
    assert (found["tuning"]["k"], found["tuning"]["target"], found["tuning"]["proxy"]) == (2, 0.95, False)
    assert found["tuning"]["chosen"] in found["tuning"]["points"]
    shown = run("index", "info", tmp_path / "x").out
    assert re.search(r"\nsearch effort, tuned with 3 queries: finds 100\.0% ", shown)
    assert re.search(r"\nefSearch +rescored +recall@2 +95 % interval +ms\n +\d+ +1x +1\.0000 ", shown)
    assert "tuning" not in json.loads(run("index", "info", tmp_path / "x", "--json").out)["reason"]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--memory", "2X"], 2, "'2X' is no size of memory: write it like 2G, 512M, 1.5Gi or a number of bytes"),
        (["--index-key", "NSG32"], 1, "index key 'NSG32' cannot be used: it cannot leave deleted documents out"),
        (["--index-key", "HNSW32,RFlat"], 1, "candidates are refined from the index's own exact vectors already"),
        (["--target-recall", "1"], 1, "target_recall must be above 0 and below 1, not 1.0: for exact search use Flat"),
        (["--vector-type", "int8"], 1, "vector_type 'int8' is not known: use fp32 or fp16"),
        (["--index-key", "HNSW8", "--memory", "1M"], 1, "memory is 1 MB: give more memory"),
        (["--tune-queries", "none.jsonl"], 1, "none.jsonl: no such file: check the path"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tmp_path: Path, corpus: Path, run, options: list[str], status: int, message: str
) -> None:
    result = run("index", "build", tmp_path / "x", corpus, *options)
    assert (result.status, result.out) == (status, "")
    assert message in result.err


def test_the_effort_of_one_search(tmp_path: Path, corpus: Path, run) -> None:
    run("index", "build", tmp_path / "x", corpus, "--index-key", "HNSW8")
    assert " sqrt\n" in run("search", tmp_path / "x", "square root", "--ef-search", "64", "-k", "1").out
    result = run("search", tmp_path / "x", "square root", "--nprobe", "2", "-k", "1")
    assert (result.status, result.out) == (1, "")
    assert "nprobe is of inverted lists, this index is HNSW8: set ef_search" in result.err


def test_reencode_switches_the_model_and_keeps_the_options(index: Path, corpus: Path, other_model: Path, run) -> None:
    result = run("index", "reencode", index, "--model", other_model, "--json", "--vector-type", "fp16")
    report = json.loads(result.out)
    assert (result.status, report.pop("seconds") > 0) == (0, True)
    assert report == {"added": 0, "changed": 3, "unchanged": 0, "removed": 0, "documents": 3, "generation": 2}
    assert result.err.startswith("Flat: ")
    info = json.loads(run("index", "info", index, "--json").out)
    assert (info["space"], json.loads(info["model"])) == ("0" * 32, {"source": str(other_model)})
    assert " sqrt\n" in run("search", index, "square root", "-k", "1").out
    wrong = run("search", index, "square root", "--model", "starter")
    assert wrong.status == 1
    assert "open it with that model, or encode it anew with `twinbert index reencode`" in wrong.err
    assert run("index", "rollback", index).status == 0
    assert json.loads(run("index", "info", index, "--json").out)["space"] == TwinEncoder.from_pretrained().space
    assert " sqrt\n" in run("search", index, "square root", "-k", "1").out


def test_a_killed_reencoding_goes_on_with_what_it_had(tmp_path: Path, other_model: Path, run) -> None:
    rows = "".join(json.dumps({"_id": str(n), "text": f"number {n} of {n * n}"}) + "\n" for n in range(900))
    index = tmp_path / "x"
    assert run("index", "build", index, "-", stdin=rows.encode()).status == 0
    command = [sys.executable, "-m", "twinbert", "index", "reencode", str(index), "--model", str(other_model)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        staged = index / "staged.npy"
        while process.poll() is None and not (staged.exists() and staged.stat().st_size > 400_000):
            time.sleep(0.005)  # until a second batch of 256 is written: the first is stored by then
        process.kill()
        assert process.wait(timeout=60) == -signal.SIGKILL
    assert json.loads(run("index", "info", index, "--json").out)["space"] == TwinEncoder.from_pretrained().space
    assert json.loads(run("index", "verify", index, "--json").out)["sound"]
    encoded: list[tuple[int, int]] = []
    with Retriever.reencode(index, other_model, resume=True, progress=lambda *done: encoded.append(done)) as new:
        assert len(new) == 900
        assert new.index.verify() == []
    assert encoded[0][0] == 0
    assert encoded[0][1] <= 900 - 256


def test_reencode_asks_for_a_model_and_an_index(index: Path, tmp_path: Path, run) -> None:
    assert run("index", "reencode", index).status == 2
    missing = run("index", "reencode", tmp_path / "none", "--model", "starter")
    assert (missing.status, missing.err.startswith(f"error: {tmp_path / 'none'} is not an index")) == (1, True)


def test_rebuild_mends_what_is_damaged(index: Path, run) -> None:
    report = json.loads(run("index", "rebuild", index, "--json").out)
    assert report.pop("seconds") > 0
    assert report == {"generation": 2, "documents": 3, "encoded": 0}
    path = index / "segments" / "2" / "vectors.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert run("search", index, "square root").status == 1
    result = run("index", "rebuild", index)
    assert result.status == 0
    assert re.search(
        r"^note: .*vectors\.npy has \d+ bytes .*: its texts were encoded again, and no earlier", result.err
    )
    assert re.search(r"^encoded +3$", result.out, flags=re.MULTILINE)
    assert json.loads(run("index", "verify", index, "--json").out) == {"sound": True, "problems": []}
    assert " sqrt\n" in run("search", index, "square root", "-k", "1").out


def test_export_gives_a_corpus_back(index: Path, corpus: Path, tmp_path: Path, run) -> None:
    result = run("index", "export", index)
    assert (result.status, result.err) == (0, "exported 3 documents\n")
    rows = [json.loads(line) for line in result.out.splitlines()]
    assert rows == [{"title": ""} | json.loads(line) for line in corpus.read_text().splitlines()]
    files = tmp_path / "c.jsonl.gz", tmp_path / "v.npy", tmp_path / "v.ids.txt"
    result = run("index", "export", index, "--out", files[0], "--vectors", files[1])
    assert (result.status, result.out) == (0, "")
    assert [json.loads(line) for line in gzip.decompress(files[0].read_bytes()).splitlines()] == rows
    assert np.load(files[1]).shape == (3, 384)
    assert files[2].read_text() == "strip\nopen\nsqrt\n"
    again = run("index", "build", tmp_path / "again", files[0], "--json")
    assert json.loads(again.out)["documents"] == 3
    assert run("index", "export", tmp_path / "again").out == run("index", "export", index).out


def test_export_refuses_a_vectors_file_of_another_kind(index: Path, tmp_path: Path, run) -> None:
    result = run("index", "export", index, "--vectors", tmp_path / "v.csv")
    assert result.status == 2
    assert "vectors are written as .npy, not as v.csv: name the file so" in result.err


def test_compact_tunes_anew_with_queries(tmp_path: Path, corpus: Path, queries: Path, run) -> None:
    run("index", "build", tmp_path / "x", corpus, "--index-key", "HNSW8", "--target-k", "2")
    result = run("index", "compact", tmp_path / "x", "--tune-queries", queries, "--json")
    assert (result.status, json.loads(result.out)) == (0, {"generation": 2})
    assert result.err.endswith(f"tuned with 2 queries of {queries}\n")
    assert run("index", "compact", tmp_path / "x").err == ""
    assert json.loads(run("index", "info", tmp_path / "x", "--json").out)["tuning"]["queries"] == 2
