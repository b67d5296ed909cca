"""What the documents say is there, and runs."""

import json
import re
import sys
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
import twinbert
from twinbert.cli import main
from twinbert.encoders.config import TowerConfig, TwinConfig
from twinbert.encoders.training.recipe import Recipe
from twinbert.encoders.training.tune_options import TuneOptions, read_options
from twinbert.index import Index
from twinbert.retrieval import Document, Retriever

ROOT = Path(twinbert.__file__).resolve().parent


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_readme_s_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(compile(program, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("svc ")
    rankings = names["rankings"]
    assert [hit.id for hit in rankings[0].hits] == ["svc"]  # type: ignore[index]


def test_an_index_of_own_vectors_works_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (program,) = blocks("docs/index.md", "python")
    names: dict[str, object] = {}
    exec(compile(program, "docs/index.md", "exec"), names)
    assert names["best"] == ["item-0", "item-1"]
    with Index.open("own.index") as index:
        assert (len(index), "item-0" in index, index.info().index_key) == (999, False, "HNSW32")
        tuning = index.info().tuning
        assert tuning is not None
        assert (tuning.queries, tuning.proxy) == (100, False)
        assert index.verify() == []


def test_searching_works_as_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (corpus,), (shown,), (program,) = (blocks("docs/search.md", language) for language in ("jsonl", "text", "python"))
    documents = [json.loads(line) for line in corpus.splitlines()]
    with Retriever.build("parts.index", [Document(row["_id"], row["text"], row["title"]) for row in documents]):
        pass
    monkeypatch.setattr("sys.argv", ["twinbert", "search", "parts.index", "XK-4710", "--explain", "-k", "2"])
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        main()
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        line.strip() for line in shown.splitlines()
    ]
    exec(compile(program, "docs/search.md", "exec"), {})
    assert capsys.readouterr().out.startswith("gasket {'cosine': ")


def test_every_command_that_the_documents_name_exists(run_help) -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    named = set(re.findall(r"twinbert ((?:index|model|train) [a-z]+|search|eval|demo)\b", text))
    assert {"index build", "search", "eval"} <= named
    assert {command for command in named if "Usage: " not in run_help(command.split())} == set()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML is read by Python 3.11 and later")
def test_the_recipe_s_documented_defaults_are_the_defaults() -> None:
    recipe, tuning = blocks("docs/training.md", "toml")
    documented = msgspec.toml.decode(recipe.encode(), type=Recipe)
    assert documented == Recipe(model=TwinConfig(tower=TowerConfig()), pairs=100_000)
    settings = msgspec.toml.decode(tuning)
    assert read_options(settings) == TuneOptions()
    assert {field.name for field in fields(TuneOptions)} - set(settings) == {"frozen"}


def test_links_inside_the_documents_lead_somewhere() -> None:
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
