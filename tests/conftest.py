"""What every room's tests share: the real starter model, loaded once."""

from __future__ import annotations

import pytest
from twinbert.encoders import TwinEncoder


@pytest.fixture(scope="session")
def starter() -> TwinEncoder:
    return TwinEncoder.from_pretrained("starter")
