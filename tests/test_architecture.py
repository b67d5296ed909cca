"""The house's direction: cli → eval → retrieval → index and encoders, which never meet; torch stays in training."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import twinbert

ROOT = Path(twinbert.__file__).resolve().parent
FLOORS = {"errors": 0, "encoders": 1, "index": 1, "retrieval": 2, "eval": 3, "cli": 4}
HEAVY = {"torch", "transformers", "accelerate", "onnx", "onnxscript"}
MODULES = sorted(path for room in FLOORS if room != "errors" for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Full dotted names of all that a module imports, wherever in it."""
    package = ["twinbert", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(path: Path) -> list[str]:
    """What a module imports against the rules."""
    room = path.relative_to(ROOT).parts[0]
    found = []
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "twinbert" and len(parts) > 1 and parts[1] in FLOORS and parts[1] != room:
            found += [name] if FLOORS[parts[1]] >= FLOORS[room] else []
        if parts[0] in HEAVY and "training" not in path.parts:
            found.append(name)
        if parts[0] in FLOORS:
            found.append(name)
        if ".training" in name and room not in {"encoders", "cli"}:
            found.append(name)
    return found


def test_every_module_is_looked_at() -> None:
    assert len(MODULES) > 60


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_go_down_and_serving_stays_light(path: Path) -> None:
    assert violations(path) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("index", "from ..encoders import TwinEncoder"),
        ("encoders", "from twinbert.index import Index"),
        ("retrieval", "from ..eval import evaluate"),
        ("retrieval", "def f():\n    import torch"),
        ("eval", "import index"),
    ],
)
def test_the_rule_sees_what_it_should(room: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / room).mkdir()
    (tmp_path / room / "module.py").write_text(line)
    assert len(violations(tmp_path / room / "module.py")) == 1


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, twinbert; print(sorted({'numpy', 'faiss', 'onnxruntime', 'torch', 'typer'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_all_there() -> None:
    assert sorted(twinbert.__all__) == twinbert.__all__
    assert {name for name in twinbert.__all__ if getattr(twinbert, name, None) is None} == set()
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        twinbert.Nonsense  # noqa: B018
