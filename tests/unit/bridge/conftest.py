"""What the tests of the bridge share."""

from __future__ import annotations

import pytest

from tests.unit.bridge import fake, setup


@pytest.fixture
def bus() -> fake.FakeBus:
    """A bus on which the cast is known and four services are well."""
    bus = fake.FakeBus()
    bus.answers["characters", "list"] = lambda _: setup.CAST
    bus.stats = tuple(setup.stats(name) for name in ("router", "llm", "quality", "bridge"))
    return bus
