"""What a real broker does to us: killed, frozen, restarted, with parts of it deleted under our feet."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest

from svc.bus import connection, errors, jetstream, job, limits, serve, service, streams, subjects
from svc.wire import characters, message, turn
from tests import servers
from tests.contract import test_bus

pytestmark = pytest.mark.anyio


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.NatsServer]:
    with servers.nats_server(tmp_path) as started:
        yield started


@contextlib.asynccontextmanager
async def connected(server: servers.NatsServer, name: str = "test") -> AsyncIterator[connection.Connection]:
    jet = await jetstream.connect(server.url, name)
    await jet.ensure()
    try:
        yield connection.Connection(jet, name)
    finally:
        await jet.close()


async def test_nobody_there_is_said_in_time() -> None:
    began = time.monotonic()
    with pytest.raises(errors.NotAccepted, match="no NATS server at"):
        await jetstream.connect(f"nats://127.0.0.1:{servers.free_port()}", "test", wait_s=0.5)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_calls_survive_a_restart_of_the_broker(server: servers.NatsServer, how: signal.Signals) -> None:
    adviser = test_bus.Adviser()
    async with connected(server) as bus, test_bus.serving(bus, adviser.service()):
        answers: list[str] = []

        async def ask(number: int) -> None:
            answers.append((await adviser.ask(bus, "beer", f"restart{number}", within_s=30)).arm)

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(ask, number)
                if number == 10:
                    await anyio.to_thread.run_sync(server.restart, how)
        assert len(answers) == 30


async def test_a_request_the_broker_forgot_is_asked_again(
    server: servers.NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECHECK_S", 0.3)
    adviser = test_bus.Adviser()
    async with connected(server) as bus, anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def ask() -> None:
            answers.append((await adviser.ask(bus, "beer", "forgotten", within_s=20)).arm)

        tasks.start_soon(ask)
        subject = subjects.request("tuning", "advise", "forgotten")
        with anyio.fail_after(5):
            while await bus.last(subject) is None:
                await anyio.sleep(0.01)
        await jet_of(bus).administer("STREAM.PURGE.WORK_tuning", {})
        async with test_bus.serving(bus, adviser.service()):
            with anyio.fail_after(10):
                while not answers:
                    await anyio.sleep(0.02)
    assert adviser.calls == 1


def jet_of(bus: connection.Connection) -> jetstream.JetStream:
    assert isinstance(bus.broker, jetstream.JetStream)
    return bus.broker


async def test_a_deleted_consumer_comes_back(server: servers.NatsServer) -> None:
    adviser = test_bus.Adviser()
    async with connected(server) as bus, test_bus.serving(bus, adviser.service()):
        await jet_of(bus).administer("CONSUMER.DELETE.WORK_tuning.tuning", {})
        assert (await adviser.ask(bus, "beer", "after", within_s=15)).arm == "beer-1"


async def test_a_lower_bound_reaches_a_queue_that_is_there_and_takes_nothing_away(
    server: servers.NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(number: int) -> bool:
        return await bus.publish(subjects.request("llm", "generate", f"w{number}"), characters.ListRequest())

    async with connected(server) as bus:
        for number in range(5):
            assert await put(number)
        lower = [
            dataclasses.replace(stream, max_msgs=3) if stream.name == "WORK_llm" else stream
            for stream in streams.STREAMS
        ]
        monkeypatch.setattr(streams, "STREAMS", tuple(lower))
        await bus.broker.ensure()
        with pytest.raises(errors.Overloaded):
            await put(5)
        assert (await bus.queue("llm")).waiting == 5


async def test_a_call_doesnt_outlive_its_time_while_the_broker_is_away(server: servers.NatsServer) -> None:
    adviser = test_bus.Adviser()
    async with connected(server) as bus:
        server.stop(signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises((errors.NotAccepted, errors.NoReply)):
            await adviser.ask(bus, "beer", "away", within_s=1)
        assert time.monotonic() - began < 4
        server.start()
        with anyio.fail_after(10):
            while not bus.connected():
                await anyio.sleep(0.05)
        assert await bus.last(subjects.request("tuning", "advise", "away")) is None


async def test_paid_work_is_never_done_twice_for_one_id(server: servers.NatsServer) -> None:
    adviser = test_bus.Adviser()
    served = adviser.service(paid=True)
    async with (
        connected(server) as bus,
        connected(server, "other") as other,
        test_bus.serving(bus, served),
    ):
        first = await adviser.ask(bus, "beer", "twice")
        again = await adviser.ask(other, "beer", "twice")
    assert (first, adviser.calls) == (again, 1)


async def test_reading_waits_out_a_restart(server: servers.NatsServer) -> None:
    adviser = test_bus.Adviser()
    async with connected(server) as bus:
        async with test_bus.serving(bus, adviser.service()):
            await adviser.ask(bus, "beer", "kept")
        server.stop(signal.SIGKILL)
        recalled: list[dict[str, bytes]] = []

        async def recall() -> None:
            recalled.append(await bus.recall("kept"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recall)
            await anyio.sleep(0.5)
            await anyio.to_thread.run_sync(server.start)
    # LOG is asynchronous: a kill may lose what it acknowledged, but reading must not fail or lie by status.
    assert len(recalled) == 1


async def test_scan_ends_though_the_rest_is_purged(server: servers.NatsServer) -> None:
    async with connected(server) as bus:
        for number in range(300):
            body = test_bus.ended(f"p{number}", "answered")
            await bus.publish(subjects.event("turn", "ended", f"p{number}"), body)
        seen = 0
        with anyio.fail_after(15):
            async for _ in bus.scan("RECORD", ("evt.turn.>",)):
                seen += 1
                if seen == 1:
                    await jet_of(bus).administer("STREAM.PURGE.RECORD", {})
        assert seen >= 1
        info = await jet_of(bus).administer("STREAM.INFO.RECORD", {})
        assert info["state"]["consumer_count"] == 0


async def test_scan_of_nothing_ends(server: servers.NatsServer) -> None:
    async with connected(server) as bus:
        assert [stored async for stored in bus.scan("RECORD", ("evt.turn.>",))] == []


async def test_follow_goes_on_after_a_restart(
    server: servers.NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at once: the pull that died with the connection isn't waited for."""
    monkeypatch.setattr(limits, "PULL_S", 60.0)
    async with connected(server) as bus:
        seen: list[str] = []
        with anyio.fail_after(25):
            async with bus.follow("RECORD", ("evt.turn.>",)) as stored:
                await bus.publish(subjects.event("turn", "ended", "one"), test_bus.ended("one", "answered"))
                async for item in stored:
                    seen.append(subjects.parse(item.subject).turn)
                    if seen == ["one"]:
                        await anyio.to_thread.run_sync(server.restart, signal.SIGKILL)
                        body = test_bus.ended("two", "answered")
                        await bus.publish(subjects.event("turn", "ended", "two"), body)
                    else:
                        break
        assert seen == ["one", "two"]


async def test_stopping_doesnt_wait_for_a_frozen_broker(server: servers.NatsServer) -> None:
    adviser = test_bus.Adviser()
    async with connected(server) as bus:
        stop, ready = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve.Server(bus, adviser.service()).run, stop, ready.set)
            await ready.wait()
            server.freeze()
            began = time.monotonic()
            stop.set()
        assert time.monotonic() - began < 4
        server.resume()


async def test_an_undecodable_turn_is_buried_not_lost(server: servers.NatsServer) -> None:
    async def take(_body: turn.Turn, _job: job.Job) -> None:
        pytest.fail("this is no turn")

    listens = (service.Listen("router-turns", "turn.user", turn.Turn, take),)
    async with (
        connected(server) as bus,
        test_bus.serving(bus, service.Service("router", listens=listens)),
    ):
        await bus.publish(subjects.turn("user", "peter", "junk"), characters.ListRequest())
        with anyio.fail_after(10):
            while not await bus.broker.latest("DEAD", ["dead.turn.user.junk.*"]):
                await anyio.sleep(0.05)


async def test_two_surfaces_hearing_the_same_message_record_it_once(server: servers.NatsServer) -> None:
    async with connected(server) as one, connected(server, "two") as two:
        heard = message.Heard(
            message="m1", native="1", surface="discord", channel="c", author=message.Author(id="1"), text="hi"
        )
        subject = subjects.event("message", "heard", "m1")
        first = [await one.publish(subject, heard), await two.publish(subject, heard)]
        assert sorted(first) == [False, True]
