"""The command line, called as a user calls it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from twinbert.cli import main


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``twinbert`` with some arguments, and bytes for its standard input."""

    def call(*arguments: str | Path, stdin: bytes = b"") -> Result:
        monkeypatch.setattr(sys, "argv", ["twinbert", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        captured = capsys.readouterr()
        return Result(int(exit_info.value.code or 0), captured.out, captured.err)

    return call


CORPUS = """\
{"_id": "strip", "title": "str.strip", "text": "remove whitespace from both ends of a string", "kind": "method"}
{"_id": "open", "text": "open a file and return a stream"}
{"_id": "sqrt", "text": "the square root of a number"}
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    path.write_text(CORPUS)
    return path


@pytest.fixture
def index(tmp_path: Path, corpus: Path, run: Run) -> Path:
    path = tmp_path / "docs.index"
    assert run("index", "build", path, corpus).status == 0
    return path
