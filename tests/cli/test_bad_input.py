"""Every failure is one line that names place and remedy, with its exit status, and leaves the index as it was."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from twinbert import TwinEncoder
from twinbert.encoders.folder import STARTER_FOLDER

GOOD = '{"_id": "new", "text": "ride a bicycle"}\n'


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".sqlite-shm"
    }


def one_line(result, status: int, *parts: str) -> None:
    assert result.status == status
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1
    for part in parts:
        assert part in result.err


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{oops", "bad.jsonl:2: "),
        ("[1, 2]", "bad.jsonl:2: "),
        ('{"_id": "", "text": "x"}', "bad.jsonl:2: "),
        ('{"_id": "  ", "text": "x"}', "bad.jsonl:2: "),
        ('{"_id": 7, "text": "x"}', "bad.jsonl:2: "),
        ('{"text": "x"}', "bad.jsonl:2: "),
        ('{"_id": "x"}', "bad.jsonl:2: "),
        ('{"_id": "new", "text": "again"}', "bad.jsonl:2: id 'new' stands already at"),
    ],
)
@pytest.mark.parametrize("command", ["build", "upsert"])
def test_a_bad_row_is_named_and_nothing_changes(
    command: str, row: str, message: str, index: Path, tmp_path: Path, run
) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(GOOD + row + "\n")
    before = contents(index)
    options = ["--overwrite"] if command == "build" else []
    one_line(run("index", command, index, bad, *options), 1, message)
    assert contents(index) == before


def test_a_bad_row_leaves_no_new_folder(tmp_path: Path, run) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text(GOOD + "{oops\n")
    one_line(run("index", "build", tmp_path / "new.index", bad), 1, "bad.jsonl:2")
    assert not (tmp_path / "new.index").exists()


def test_a_missing_corpus(index: Path, tmp_path: Path, run) -> None:
    one_line(run("index", "upsert", index, tmp_path / "none.jsonl"), 1, "none.jsonl")


def test_an_index_that_is_there_is_not_overwritten_unasked(index: Path, corpus: Path, run) -> None:
    before = contents(index)
    one_line(run("index", "build", index, corpus), 1, "overwrite")
    assert contents(index) == before


@pytest.mark.parametrize("command", [["index", "info"], ["index", "verify"], ["index", "compact"], ["search"]])
def test_what_is_no_index_is_said_to_be_none(command: list[str], tmp_path: Path, run) -> None:
    (tmp_path / "empty").mkdir()
    query = ["hello"] if command == ["search"] else []
    one_line(run(*command, tmp_path / "empty", *query), 1, "empty is not an index")
    assert list((tmp_path / "empty").iterdir()) == []


def another_space(tmp_path: Path) -> Path:
    folder = tmp_path / "other-model"
    shutil.copytree(STARTER_FOLDER, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"space": "0" * 32}))
    return folder


@pytest.mark.parametrize("command", ["search", "upsert"])
def test_a_model_of_another_space_is_refused(command: str, index: Path, corpus: Path, tmp_path: Path, run) -> None:
    before = contents(index)
    other = another_space(tmp_path)
    arguments = ["search", index, "x"] if command == "search" else ["index", "upsert", index, corpus]
    one_line(run(*arguments, "--model", other), 1, "0" * 32, TwinEncoder.from_pretrained().space)
    assert contents(index) == before


def test_no_such_model(corpus: Path, tmp_path: Path, run) -> None:
    result = run("index", "build", tmp_path / "new.index", corpus, "--model", "no such model")
    one_line(result, 1, 'name "starter", a folder or a hub id')
    assert not (tmp_path / "new.index").exists()


def test_an_unknown_index_key(corpus: Path, tmp_path: Path, run) -> None:
    result = run("index", "build", tmp_path / "new.index", corpus, "--index-key", "NSG32")
    one_line(result, 1, "index key 'NSG32' cannot be used: it cannot leave deleted documents out; use HNSW")


def test_depth_below_k(index: Path, run) -> None:
    one_line(run("search", index, "x", "-k", "10", "--depth", "5"), 1, "depth 5 is below k 10")


def test_an_empty_query(index: Path, run) -> None:
    one_line(run("search", index, " "), 1, "query is empty")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "{index}", "--bogus"], "No such option: --bogus"),
        (["search", "{index}"], "no query"),
        (["search"], "Missing argument 'INDEX'"),
        (["search", "{index}", "x", "-k", "none"], "Invalid value for '-k'"),
        (["search", "{index}", "x", "--format", "xml"], "Invalid value for '--format'"),
        (["search", "{index}", "x", "--queries", "more.jsonl"], "queries on the command line and in a file"),
        (["index", "delete", "{index}"], "no ids"),
        (["eval", "{index}"], "Missing option '--queries'"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str, index: Path, run) -> None:
    result = run(*[argument.format(index=index) for argument in arguments])
    one_line(result, 2, message, "--help)")


def test_unjudged_queries_and_bad_qrels(index: Path, tmp_path: Path, run) -> None:
    queries, qrels = tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    queries.write_text('{"_id": "1", "text": "square root"}\n')
    qrels.write_text("query-id\tcorpus-id\tscore\n9\tsqrt\t1\n")
    one_line(run("eval", index, "--queries", queries, "--qrels", qrels), 1, "none of 1 queries")
    qrels.write_text("query-id\tcorpus-id\tscore\n1\tsqrt\tgood\n")
    one_line(run("eval", index, "--queries", queries, "--qrels", qrels), 1, "qrels.tsv:2")


def test_a_reader_that_has_enough_is_no_error(index: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "twinbert", "search", str(index), *["square root"] * 300, "--format", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=60)


def test_running_out_of_memory_is_one_line(index: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("twinbert.index.Index.info", full)
    one_line(run("index", "info", index), 1, "out of memory: ask for less at once")


def heed_ctrl_c() -> None:
    """What runs in a shell's background inherits Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_a_build_that_resumes(tmp_path: Path, run) -> None:
    words = [
        "open",
        "read",
        "write",
        "close",
        "stream",
        "socket",
        "file",
        "path",
        "string",
        "number",
        "list",
        "tree",
        "graph",
        "table",
    ]
    rows = [
        {"_id": str(i), "text": " ".join(words[(i * j) % 14] for j in range(2, 90)) + f" {i}"} for i in range(1_500)
    ]
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "new.index"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "twinbert", "index", "build", str(index), str(corpus)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heed_ctrl_c) as process:  # noqa: PLW1509
        staged = index / "staged.npy"
        while process.poll() is None and not (staged.exists() and staged.stat().st_size > 200_000):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert process.stderr is not None
        assert process.stderr.read().splitlines()[1:] == [
            "error: interrupted: only what was reported done is stored; a stopped build goes on with --resume"
        ]
    one_line(run("search", index, "open a file"), 1, "holds an unfinished build: resume it")
    assert json.loads(run("index", "build", index, corpus, "--resume", "--json").out)["documents"] == 1_500
