"""The demo from end to end, on the Python that runs the tests."""

import re
from pathlib import Path

import pytest
from twinbert.cli.demo.corpus import PythonDocs
from twinbert.cli.demo.questions import SHOWCASE, JudgedQuestions
from twinbert.cli.demo_command import shortfalls


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``twinbert demo --keep`` prints, told once for all tests."""
    import subprocess
    import sys

    folder: Path = tmp_path_factory.mktemp("demo") / "python.index"
    command = [sys.executable, "-m", "twinbert", "demo", "--keep", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (folder / "store.sqlite").exists()
    return done.stdout


def test_it_answers_the_showcase(story: str) -> None:
    for question in SHOWCASE:
        answer = story.split(f"{question}\n", 1)[1].splitlines()[0]
        assert re.match(r" +1 +-?\d+\.\d{3}  \S+", answer)


def test_an_upsert_shows_and_a_delete_stays(story: str) -> None:
    before, upserted, deleted = re.split(r"  (?:before|after an upsert of 3 documents|after deleting 1: .*)\n", story)[
        1:
    ]
    assert "acme." not in before
    assert upserted.count("→ acme.") == 3
    assert "acme.open_invoices" in upserted
    assert "→ acme.open_invoices" not in deleted


def test_it_prints_the_recall_table(story: str) -> None:
    rows = {cells[0].strip(): cells[1:] for line in story.splitlines() if len(cells := line.strip("│ ").split("│")) > 1}
    assert float(rows["10-recall@10"][0]) >= 0.98
    assert float(rows["+ lexical"][0]) >= 0.5
    assert set(rows) >= {"cosine exact", "cosine ANN", "100-recall@100", "p50", "p95", "p99"}


def test_it_says_what_this_python_lacks() -> None:
    assert shortfalls(PythonDocs((), ("lib2to3/bad.py", "x.py")), JudgedQuestions([], {}, 3)) == [
        "files that could not be read or parsed: lib2to3/bad.py, x.py",
        "questions left out, this Python having no answer to them: 3",
    ]
    assert shortfalls(PythonDocs((), ()), JudgedQuestions([], {}, 0)) == []
