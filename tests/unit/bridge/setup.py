"""A bridge over the fake bus, a client of one of its ports, and a reader of its events."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import anyio
from aiohttp import test_utils, web

from svc.bridge import service, settings
from svc.wire import characters, message, status
from tests.unit.bridge import fake

DEADLINE_S = 3.0

Client = test_utils.TestClient[web.Request, web.Application]
Event = tuple[str, str, Any]
"""Name, id ("" = none) and data."""

LINES = characters.Fallbacks(failed=("Huh.",), busy=("Later.",), unknown=("Dunno.",))
CAST = characters.Cast(
    packs=tuple(
        characters.Pack(
            id=one, name=one.title(), emoji="*", color="#123456", summary="You are one.", fallbacks=LINES
        )
        for one in ("peter", "brian")
    )
)


def stats(
    name: str, level: status.Level = "ok", *reasons: str, id_: str = "", **metadata: str
) -> status.Stats:
    return status.Stats(
        name=name,
        id=id_ or f"{name}-1",
        version="0.1.0",
        started="2026-01-01T00:00:00Z",
        metadata=metadata,
        endpoints=(
            status.Endpoint(
                name="m", subject="s", queue_group="q", num_requests=3, processing_time=6_000_000
            ),
        ),
        vitals=status.Vitals(
            health=status.Health(level=level, reasons=reasons),
            counters={f"{name}_things_total": 4.0},
            gauges={f"{name}_open": 0.5},
            config={"threshold_cold": 30},
        ),
    )


def posted(turn: str, text: str = "Hi.", channel: str = "console-main") -> message.Posted:
    return message.Posted(
        turn=turn, piece=0, surface="console", channel=channel, character="peter", text=text
    )


@contextlib.asynccontextmanager
async def client(bus: fake.FakeBus, port: str = "router", **wanted: str) -> AsyncIterator[Client]:
    """A client of one port, while the feed runs."""
    bridge = service.Bridge(bus.door(), settings.Settings(**wanted))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bridge.feed.run)
        await until(lambda: bus.ears() == 3)
        async with test_utils.TestClient(test_utils.TestServer(bridge.application(port))) as opened:
            yield opened
            bridge.feed.close()
        tasks.cancel_scope.cancel()


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that happens beside us; fails after DEADLINE_S."""
    with anyio.fail_after(DEADLINE_S):
        while not true():
            await anyio.sleep(0.005)


async def events(response: aiohttp.ClientResponse, number: int) -> list[Event]:
    """The next `number` events of a stream."""
    found: list[Event] = []
    with anyio.fail_after(DEADLINE_S):
        while len(found) < number:
            fields: dict[str, str] = {}
            while (line := (await response.content.readline()).decode().rstrip("\n")) != "":
                name, _, value = line.partition(": ")
                fields[name] = value
            if "data" in fields:
                found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found


def healthy_bus() -> fake.FakeBus:
    """A bus on which the cast is known and four services are well."""
    bus = fake.FakeBus()
    bus.answers["characters", "list"] = lambda _: CAST
    bus.stats = tuple(stats(name) for name in ("router", "llm", "quality", "bridge"))
    return bus
