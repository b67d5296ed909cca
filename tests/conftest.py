"""What every room's tests share: the real starter model, loaded once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twinbert.encoders import TwinEncoder


@pytest.fixture(scope="session")
def starter() -> TwinEncoder:
    return TwinEncoder.from_pretrained("starter")


@pytest.fixture
def run_help(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """The help text of a command, as printed."""
    from twinbert.cli import main

    def call(command: list[str]) -> str:
        monkeypatch.setattr("sys.argv", ["twinbert", *command, "--help"])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out

    return call
