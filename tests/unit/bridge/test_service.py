"""The door: ports, settings, and what happens when one is taken."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator

import aiohttp
import anyio
import anyio.lowlevel
import pytest

from svc import cache, config, errors, ports
from svc.bridge import fresh, service, settings
from svc.bus import service as bus_service
from tests.unit.bridge import fake, setup

pytestmark = pytest.mark.anyio


@pytest.fixture
def taken() -> Iterator[int]:
    """A port somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def free() -> dict[str, int]:
    """A free port for every name."""
    with contextlib.ExitStack() as held:
        names = ports.BRIDGE
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}


def app(bus: fake.FakeBus, tasks: anyio.abc.TaskGroup) -> bus_service.App:
    store = cache.Cache.connect("redis://127.0.0.1:1/0")
    return bus_service.App(bus=bus.door(), cache=store, common=config.Common(), tasks=tasks)


async def test_open_serves_every_port_and_closes_them(
    bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free()
    monkeypatch.setenv("QUAHOG_PORTS", json.dumps(ports))
    async with anyio.create_task_group() as tasks, aiohttp.ClientSession() as session:
        async with service.open(app(bus, tasks)) as opened:
            for name, port in ports.items():
                async with session.get(f"http://127.0.0.1:{port}/health") as response:
                    assert (await response.json())["service"] == name
            async with session.get(f"http://127.0.0.1:{ports['llm']}/api/cast") as response:
                assert response.status == 404, "the console is on the router's port only"
            async with session.get(f"http://127.0.0.1:{ports['router']}/api/events") as response:
                await setup.events(response, 1)
                assert opened.gauges()["bridge_viewers"] == 1
            assert opened.counters()["bridge_http_requests_total"] >= 3
            assert opened.health().level == "ok"
            bus.up = False
            assert opened.health().level == "degraded"
            assert {one.consumer for one in opened.listens} == {"console", "http"}
            assert opened.settings["http_host"] == "127.0.0.1"
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{ports['llm']}/health")
    assert bus.ears() == 0


async def test_an_open_console_does_not_hold_up_the_end(
    bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free()
    monkeypatch.setenv("QUAHOG_PORTS", json.dumps(ports))
    async with anyio.create_task_group() as tasks, aiohttp.ClientSession() as session:
        async with service.open(app(bus, tasks)):
            response = await session.get(f"http://127.0.0.1:{ports['router']}/api/events")
            await setup.events(response, 1)
            start = anyio.current_time()
        assert anyio.current_time() - start < 1.0
        response.close()


async def test_being_cancelled_still_closes_everything(
    bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free()
    monkeypatch.setenv("QUAHOG_PORTS", json.dumps(ports))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{ports['router']}") as session:
        async with anyio.create_task_group() as tasks, service.open(app(bus, tasks)):
            (await session.get("/health")).release()
            tasks.cancel_scope.cancel()
            await anyio.lowlevel.checkpoint()
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("/health")


async def test_a_taken_port_is_named(bus: fake.FakeBus, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    ports = free() | {"quality": taken}
    monkeypatch.setenv("QUAHOG_PORTS", json.dumps(ports))
    async with anyio.create_task_group() as tasks:
        with pytest.raises(errors.ConfigError, match=rf"port {taken} \(quality\).*QUAHOG_PORTS"):
            await service.open(app(bus, tasks)).__aenter__()
    socket.create_server(("127.0.0.1", ports["llm"])).close()


@pytest.mark.parametrize(
    ("ports", "told"),
    [
        ("{", "QUAHOG_PORTS is wrong"),
        ('{"llm": "x"}', "QUAHOG_PORTS is wrong"),
        ('{"llm": 0}', "llm has port 0"),
        ('{"llm": 70000}', "llm has port 70000"),
        ('{"router": 6001}', "router and llm both want port 6001"),
        ('{"a b": 6001}', "neither a service"),
    ],
)
def test_wrong_ports_are_told(ports: str, told: str) -> None:
    with pytest.raises(errors.ConfigError, match=told):
        settings.Settings(ports=ports).table()


def test_the_documented_ports() -> None:
    documented = {
        "llm": 6001, "coordinator": 6002, "quality": 6003, "tuning": 6004, "router": 6005, "characters": 6006,
        "retriever": 6007, "crawler": 6009, "peter": 6011, "brian": 6012, "stewie": 6013,
    }  # fmt: skip
    assert settings.Settings().table() == documented
    chosen = settings.Settings(ports='{"router": 7005, "lois": 6014, "cache": 6001}').table()
    assert chosen == documented | {"router": 7005, "lois": 6014}


async def test_a_failed_fetch_is_not_kept() -> None:
    answers: list[int | Exception] = [ValueError("first"), 2, 3]

    async def fetch() -> int:
        await anyio.sleep(0.001)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    kept = fresh.Fresh(fetch, for_s=60.0)
    with pytest.raises(ValueError, match="first"):
        await kept.get()
    assert [await kept.get() for _ in range(3)] == [2, 2, 2]
