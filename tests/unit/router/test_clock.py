"""A router whose clock is wrong by more than a turn lives."""

from __future__ import annotations

import time

import msgspec
import pytest

from svc.bus import connection, limits, memory
from tests.unit.router import setup

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("ahead_s", [-3_600.0, 3_600.0])
async def test_a_turn_is_as_old_as_the_broker_says(ahead_s: float) -> None:
    def brokers() -> float:
        return time.time() - ahead_s

    company = setup.Company()
    company.bus = connection.Connection(memory.Memory(brokers), "company")
    given = msgspec.structs.replace(setup.a_turn(), expires_at=brokers() + 30.0)
    circumstances = setup.a_job(company, given)
    circumstances.now, circumstances.stored_at = brokers, brokers()
    circumstances.deadline = brokers() + 30.0
    async with company.at_work():
        await company.runner().run(given, circumstances)
    ended = await company.outcome("t1")
    assert ended.outcome == "answered"
    assert abs(ended.at - brokers()) < 5
    assert 0 < ended.ms < 5_000
    (say,) = await company.said("t1")
    assert say.expires_at == pytest.approx(ended.at + limits.SAY_AGE_S)


async def test_what_is_too_old_by_the_broker_is_expired_whatever_our_clock_says() -> None:
    def brokers() -> float:
        return time.time() + 3_600.0

    company = setup.Company()
    company.bus = connection.Connection(memory.Memory(brokers), "company")
    given = msgspec.structs.replace(setup.a_turn(), expires_at=brokers() - 1.0)
    async with company.at_work():
        await company.runner().run(given, setup.a_job(company, given))
    assert (await company.outcome("t1")).outcome == "expired"
