"""``--filter`` and ``--filterable``."""

from __future__ import annotations

import json
from pathlib import Path


def found(result) -> list[str]:
    assert result.status == 0, result.err
    return [hit["id"] for hit in json.loads(result.out)["hits"]]


def test_only_what_matches_is_printed(index: Path, run) -> None:
    for expression, ids in [('kind = "method"', {"strip"}), ("kind is null", {"open", "sqrt"}), ("kind = 'x'", set())]:
        assert set(found(run("search", index, "open", "--filter", expression, "--format", "jsonl"))) == ids


def test_a_mistake_in_a_filter_is_one_line_with_its_column(index: Path, run) -> None:
    result = run("search", index, "open", "--filter", "kind = method")
    assert (result.status, result.out, len(result.err.splitlines())) == (1, "", 1)
    assert "filter, column 8: expected a value: a string in quotes" in result.err


def test_filterable_fields_are_kept_and_listed(tmp_path: Path, corpus: Path, run) -> None:
    path = tmp_path / "kept.index"
    assert run("index", "build", path, corpus, "--filterable", "kind", "--filterable", "`a b`.c").status == 0
    assert json.loads(run("index", "info", path, "--json").out)["filterable"] == ["kind", "`a b`.c"]
    assert "kind, `a b`.c" in run("index", "info", path).out
    assert found(run("search", path, "open", "--filter", 'kind starts with "m"', "--format", "jsonl")) == ["strip"]
    assert run("index", "build", path, corpus, "--overwrite").status == 0
    assert json.loads(run("index", "info", path, "--json").out)["filterable"] == []


def test_a_field_that_is_none_is_refused(tmp_path: Path, corpus: Path, run) -> None:
    result = run("index", "build", tmp_path / "x", corpus, "--filterable", "two words")
    assert (result.status, (tmp_path / "x").exists()) == (1, False)
    assert "column 5: expected a dot or the end, found 'words'" in result.err
