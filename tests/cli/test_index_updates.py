"""Syncing, looking ahead, undoing and waiting, from the command line."""

import json
import re
import threading
from pathlib import Path

import pytest
from twinbert import BuildOptions, Document, Retriever
from twinbert.index import Index

SYNCED = b"""\
{"_id": "strip", "title": "str.strip", "text": "remove whitespace from both ends of a string", "kind": "function"}
{"_id": "sqrt", "text": "the square root of a number"}
{"_id": "new", "text": "ride a bicycle"}
"""
PLAN = "plan: 1 added, 1 changed, 1 unchanged, 1 removed; 1 texts to encode\n"
KEYS = ("added", "changed", "unchanged", "removed", "documents", "generation")


def ids(index: Path) -> list[str]:
    with Index.open(index) as opened:
        return list(opened.ids())


def figures(out: str) -> list[int]:
    report = json.loads(out)
    assert report.pop("seconds") >= 0
    assert list(report)[: len(KEYS)] == list(KEYS)
    return list(report.values())


def test_sync_makes_the_index_hold_the_corpus(index: Path, run) -> None:
    result = run("index", "sync", index, "-", "--json", stdin=SYNCED)
    assert (result.status, result.err) == (0, PLAN)
    assert figures(result.out) == [1, 1, 1, 1, 3, 1]
    assert ids(index) == ["new", "sqrt", "strip"]
    again = run("index", "sync", index, "-", "--json", stdin=SYNCED)
    assert again.err == "plan: 0 added, 0 changed, 3 unchanged, 0 removed; 0 texts to encode\n"
    assert figures(again.out) == [0, 0, 3, 0, 3, 1]


@pytest.mark.parametrize(("command", "removed", "documents"), [("sync", 1, 3), ("upsert", 0, 4)])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    command: str, removed: int, documents: int, index: Path, run
) -> None:
    before = (index / "store.sqlite").read_bytes()
    result = run("index", command, index, "-", "--dry-run", "--json", stdin=SYNCED)
    assert (result.status, result.err) == (0, "")
    assert figures(result.out) == [1, 1, 1, removed, documents, 1, 1]
    assert ids(index) == ["open", "sqrt", "strip"]
    assert (index / "store.sqlite").read_bytes() == before


def test_a_sync_from_an_empty_corpus_is_refused_unless_it_is_meant(index: Path, run) -> None:
    result = run("index", "sync", index, "-", stdin=b"")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "error: the corpus is empty, and a sync would remove all 3 documents: check its source, "
        "or allow it to be empty\n"
    )
    assert len(ids(index)) == 3
    assert figures(run("index", "sync", index, "-", "--dry-run", "--json", stdin=b"").out) == [0, 0, 0, 3, 0, 1, 0]
    assert figures(run("index", "sync", index, "-", "--allow-empty", "--json", stdin=b"").out) == [0, 0, 0, 3, 0, 1]
    assert figures(run("index", "sync", index, "-", "--json", stdin=b"").out) == [0, 0, 0, 0, 0, 1]


def test_a_sync_is_undone_and_redone(index: Path, run) -> None:
    run("index", "sync", index, "-", stdin=SYNCED)
    assert figures(run("index", "rollback", index, "--json").out) == [1, 1, 1, 1, 3, 1]
    assert ids(index) == ["open", "sqrt", "strip"]
    assert " open\n" in run("search", index, "read a file", "-k", "1").out
    assert figures(run("index", "rollback", index, "1", "--json").out) == [1, 1, 1, 1, 3, 1]
    assert ids(index) == ["new", "sqrt", "strip"]
    result = run("index", "rollback", index, 4)
    assert (result.status, result.err) == (1, "error: history does not reach back 4 commits: undo at most 3\n")


def test_history_lists_what_can_be_undone(index: Path, run) -> None:
    run("index", "sync", index, "-", stdin=SYNCED)
    run("index", "compact", index)
    run("index", "delete", index, "new")
    commits = json.loads(run("index", "history", index, "--json").out)["commits"]
    assert [(one["number"], one["kind"], one["documents"], one["undoable"]) for one in commits] == [
        (4, "update", 2, True),
        (3, "compact", 3, False),
        (2, "sync", 3, True),
        (1, "build", 3, False),
    ]
    header, *rows = (line.split() for line in run("index", "history", index).out.splitlines())
    assert header == ["number", "made", "kind", "added", "changed", "removed", "documents", "undo"]
    assert [row[2:] for row in rows] == [
        ["update", "0", "0", "1", "2", "1"],
        ["compact", "0", "0", "0", "3"],
        ["sync", "1", "1", "1", "3", "2"],
        ["build", "3", "0", "0", "3"],
    ]


def test_gc_forgets_history(index: Path, run) -> None:
    run("index", "sync", index, "-", stdin=SYNCED)
    freed = json.loads(run("index", "gc", index, "--keep", 0, "--json").out)
    assert (freed["commits"], freed["versions"]) == (2, 2)
    assert run("index", "rollback", index).err == "error: history does not reach back 1 commits: none can be undone\n"
    assert run("index", "gc", index).status == 2
    assert json.loads(run("index", "verify", index, "--json").out)["sound"]


def test_a_build_says_how_much_can_be_undone(tmp_path: Path, corpus: Path, run) -> None:
    assert run("index", "build", tmp_path / "i", corpus, "--history", 1).status == 0
    with Index.open(tmp_path / "i") as opened:
        assert opened.options.history == 1


def test_a_sync_or_a_rollback_that_leaves_an_index_worn_compacts_it(tmp_path: Path, run) -> None:
    some = [Document(str(number), f"text {number}") for number in range(4)]
    Retriever.build(tmp_path / "i", some, options=BuildOptions(tail_limit=1, tail_share=0.0)).close()
    assert figures(run("index", "sync", tmp_path / "i", "-", "--json", stdin=SYNCED).out) == [3, 0, 0, 4, 3, 2]
    assert figures(run("index", "rollback", tmp_path / "i", "--json").out) == [4, 0, 0, 3, 4, 3]


WRITING = [
    ("upsert", "-"),
    ("sync", "-"),
    ("delete", "open"),
    ("rollback",),
    ("compact",),
    ("gc", "--keep", "1"),
    ("build", "-", "--overwrite"),
]


@pytest.mark.parametrize(("command", "arguments"), [(first, rest) for first, *rest in WRITING])
def test_every_command_that_writes_names_who_writes_and_waits(
    command: str, arguments: list[str], index: Path, run
) -> None:
    run("index", "delete", index, "sqrt")
    holder = Index.open(index).writer()
    with holder:
        result = run("index", command, index, *arguments, "--wait", "0.05", stdin=SYNCED)
    assert result.status == 1
    assert re.search(r"is being written by another process \(.*, process \d+, .*\): waited 0.05 seconds", result.err)
    holder = Index.open(index).writer()
    holder.__enter__()
    timer = threading.Timer(0.3, holder.__exit__, (None, None, None))
    timer.start()
    assert run("index", command, index, *arguments, "--wait", "60", stdin=SYNCED).status == 0
    timer.join()
