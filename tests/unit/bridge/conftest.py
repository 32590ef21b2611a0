"""What the tests of the bridge share."""

from __future__ import annotations

import pytest

from tests.unit.bridge import fake, setup


@pytest.fixture
def bus() -> fake.FakeBus:
    return setup.healthy_bus()
