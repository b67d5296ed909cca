"""What the wheel carries."""

import sys
from pathlib import Path

import msgspec
import pytest
import twinbert
from twinbert.encoders.folder import STARTER_FOLDER

ROOT = Path(twinbert.__file__).resolve().parent
pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML is read by Python 3.11 and later")


@pytest.fixture
def settings() -> dict:
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())
    return project["tool"]["setuptools"]


def test_every_package_is_listed(settings: dict) -> None:
    rooms = ("cli", "encoders", "eval", "index", "retrieval")
    found = {path.parent.relative_to(ROOT) for room in rooms for path in (ROOT / room).rglob("__init__.py")}
    assert set(settings["packages"]) == {"twinbert", *(f"twinbert.{'.'.join(path.parts)}" for path in found)}


def test_every_file_named_is_there_and_no_starter_file_is_left_out(settings: dict) -> None:
    for package, names in settings["package-data"].items():
        folder = ROOT.joinpath(*package.split(".")[1:])
        assert [name for name in names if not (folder / name).is_file()] == []
    shipped = {f"starter/{path.relative_to(STARTER_FOLDER).as_posix()}" for path in STARTER_FOLDER.rglob("*.*")}
    assert shipped == set(settings["package-data"]["twinbert.encoders"])
