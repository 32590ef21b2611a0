"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The loop that production runs on is asyncio's (uvloop); trio is not supported by nats-py."""
    return "asyncio"
