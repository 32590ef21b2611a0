"""A machine whose clock is wrong: its processes work all the same, and say so."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

import anyio
import pytest

from svc.bus import connection, errors, jetstream, job, limits, memory, service, state, subjects
from svc.bus import status as bus_status
from svc.wire import base, envelope, status, tuning
from tests import servers
from tests.contract import test_bus

pytestmark = pytest.mark.anyio

AHEAD = (-30.0, 30.0)
"""Seconds that this machine's clock is ahead of the broker's."""
Shift = Callable[[float], None]
REAL = time.time


@pytest.fixture
def shift(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Sets the clock of this process; the server, another process, keeps the true time."""

    def by(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: REAL() + seconds)

    return by


@pytest.fixture(params=["memory", "jetstream"])
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[connection.Connection]:
    if request.param == "memory":
        yield connection.Connection(memory.Memory(REAL), "test")
        return
    server: servers.NatsServer = request.getfixturevalue("nats")
    jet = await jetstream.connect(server.url, "test")
    await jet.ensure()
    yield connection.Connection(jet, "test")
    await jet.close()


class Watch:
    """A handler that notes how much time it has."""

    def __init__(self) -> None:
        self.left: list[float] = []
        self.repeated: list[bool] = []
        self.ended = False

    async def advise(self, request: tuning.AdviseRequest, job_: job.Job) -> tuning.Advice:
        self.left.append(job_.left_s())
        self.repeated.append(job_.maybe_repeated())
        if request.topic == "hang":
            try:
                await anyio.sleep_forever()
            finally:
                self.ended = True
        return tuning.Advice()

    def service(self) -> service.Service:
        return service.Service(
            "tuning", answers=(service.Answer("advise", tuning.AdviseRequest, tuning.Advice, self.advise),)
        )


def request(topic: str = "") -> tuning.AdviseRequest:
    return tuning.AdviseRequest(character="peter", topic=topic)


async def recorded(bus: connection.Connection, turn_id: str) -> envelope.Reply:
    with anyio.fail_after(10):
        while (stored := await bus.last(subjects.reply("tuning", "advise", turn_id))) is None:
            await anyio.sleep(0.02)
    return base.decode(stored.data, envelope.Reply)


@pytest.mark.parametrize("ahead_s", AHEAD)
async def test_a_job_is_neither_late_nor_without_an_end(
    bus: connection.Connection, shift: Shift, ahead_s: float
) -> None:
    shift(ahead_s)
    watch, mark = Watch(), f"clock{ahead_s:.0f}".replace("-", "m")
    async with test_bus.serving(bus, watch.service()):
        answer = await bus.call("tuning", "advise", request(), tuning.Advice, turn=mark, within_s=5)
        assert answer == tuning.Advice()
        with pytest.raises((errors.NoReply, errors.Refused)):
            await bus.call("tuning", "advise", request("hang"), tuning.Advice, turn=f"{mark}h", within_s=0.5)
        refusal = (await recorded(bus, f"{mark}h")).refusal
        assert isinstance(refusal, envelope.Refusal)
        assert refusal.code == "deadline_passed"
    assert watch.ended
    assert 3 < watch.left[0] <= 5.1
    assert watch.repeated[0] is False
    assert (await recorded(bus, mark)).waited_ms < 2_000


@pytest.mark.parametrize("ahead_s", AHEAD)
async def test_what_is_late_is_not_run(bus: connection.Connection, shift: Shift, ahead_s: float) -> None:
    shift(ahead_s)
    watch, mark = Watch(), f"late{ahead_s:.0f}".replace("-", "m")
    with pytest.raises((errors.NoReply, errors.Refused)):
        await bus.call("tuning", "advise", request(), tuning.Advice, turn=mark, within_s=0.2)
    await anyio.sleep(0.3)
    async with test_bus.serving(bus, watch.service()):
        refusal = (await recorded(bus, mark)).refusal
    assert isinstance(refusal, envelope.Refusal)
    assert (refusal.code, watch.left) == ("deadline_passed", [])


@pytest.mark.parametrize(("ahead_s", "said"), [(-30.0, "30.0 s behind"), (30.0, "30.0 s ahead of")])
async def test_a_wrong_clock_is_named_in_health(
    bus: connection.Connection, shift: Shift, ahead_s: float, said: str
) -> None:
    shift(ahead_s)
    async with test_bus.serving(bus, Watch().service()):
        found = next(one for one in await bus.survey() if one.id == bus.instance)
    assert found.vitals.health.level == "degraded"
    (reason,) = found.vitals.health.reasons
    assert f"the clock of this machine is {said} the broker's: set both by NTP" in reason


@pytest.mark.parametrize("ahead_s", [0.0, -1.0, 1.0])
async def test_a_second_is_nothing_to_speak_of(
    bus: connection.Connection, shift: Shift, ahead_s: float
) -> None:
    shift(ahead_s)
    async with test_bus.serving(bus, Watch().service()):
        found = next(one for one in await bus.survey() if one.id == bus.instance)
        assert abs(bus.now() - REAL()) < 0.5
    assert found.vitals.health == status.Health()


async def test_a_clock_that_goes_wrong_later_is_noticed(
    bus: connection.Connection, shift: Shift, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CLOCK_CHECK_S", 0.05)
    async with test_bus.serving(bus, Watch().service()):
        assert abs(bus.broker.skew_s()) < 0.5
        shift(30.0)
        with anyio.fail_after(5):
            while bus.broker.skew_s() > -29:
                await anyio.sleep(0.01)
        shift(0.0)
        with anyio.fail_after(5):
            while bus.broker.skew_s() < -1:
                await anyio.sleep(0.01)


async def test_a_broker_that_does_not_answer_leaves_the_clock_as_it_was(
    nats: servers.NatsServer, shift: Shift
) -> None:
    jet = await jetstream.connect(nats.url, "test")
    await jet.ensure()
    shift(30.0)
    await jet.check_clock()
    known = jet.skew_s()
    assert known == pytest.approx(-30, abs=0.5)
    nats.freeze()
    try:
        with anyio.fail_after(5), pytest.raises(TimeoutError):
            while True:  # a signal takes a moment
                await jet.nc.request(jetstream.CLOCK, b"", timeout=0.2)
        shift(0.0)
        with anyio.fail_after(5):
            await jet.check_clock()
    finally:
        nats.resume()
    assert jet.skew_s() == known
    await jet.close()


async def test_a_lease_lasts_as_long_for_everybody(bus: connection.Connection, shift: Shift) -> None:
    """The second process runs on a machine whose clock is a minute ahead: the lease is not over for it."""
    await bus.broker.check_clock()
    name = f"lease.{bus.instance}"
    assert await state.Leases(bus.state, "one").acquire(name) == "taken"
    shift(60.0)
    await bus.broker.check_clock()
    assert await state.Leases(bus.state, "two").acquire(name) == "denied"


def test_what_a_service_says_of_itself_stays() -> None:
    down = status.Health(level="down", reasons=("no model",))
    told = bus_status.punctual(down, 10.0)
    assert (told.level, told.reasons[0], len(told.reasons)) == ("down", "no model", 2)
    assert bus_status.punctual(down, -limits.CLOCK_SKEW_MAX_S) == down
