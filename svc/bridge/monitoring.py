"""`GET /health`, `/metrics`, `/config` of one port, and `/services/health` of the router's."""

from __future__ import annotations

import contextlib

import anyio
import msgspec
from aiohttp import web

from svc.bridge import attendance, fresh, health, metrics, problem
from svc.bus import api, streams
from svc.bus import errors as bus_errors
from svc.wire import status

CENSUS_S = 1.0
"""Instances are asked at most this often, however many ports and people ask."""
STATUS_HEADER = "Quahog-Status"
HTTP_STATUS: dict[health.Status, int] = {"ok": 200, "degraded": 200, "off": 200, "down": 503}
"""A degraded service still answers, so nothing should restart it or route around it: 200, and the body and
the Quahog-Status header say what is wrong. Down is 503."""

Census = fresh.Fresh[health.Census]


def census(bus: api.Bus) -> Census:
    """Every instance and queue of every service, at most CENSUS_S old.

    Raises NotAccepted while the broker is away.
    """
    seen = attendance.Attendance()

    async def ask() -> health.Census:
        if not bus.connected():
            raise bus_errors.NotAccepted("The broker can't be reached: is nats-server running?")
        queues: dict[str, status.Queue] = {}
        async with anyio.create_task_group() as tasks:
            for name in streams.SERVICES:
                tasks.start_soon(_count, bus, name, queues)
            stats = await bus.survey()
        return health.Census(stats, queues, seen.observe(stats, queues))

    return fresh.Fresh(ask, for_s=CENSUS_S)


async def _count(bus: api.Bus, name: str, queues: dict[str, status.Queue]) -> None:
    with contextlib.suppress(bus_errors.BusError), anyio.move_on_after(CENSUS_S):
        queues[name] = await bus.queue(name)


class Monitoring:
    """The handlers of one port."""

    def __init__(self, name: str, census: Census) -> None:
        self.name = name
        self.census = census

    async def health(self, request: web.Request) -> web.Response:
        """The service behind this port. Asks its processes how they are, never the model for a word."""
        try:
            report = health.report(self.name, await self.census.get())
        except bus_errors.BusError:
            report = health.unreachable(self.name)
        return _graded(report, report.status)

    async def services(self, request: web.Request) -> web.Response:
        """All services at once."""
        try:
            found = health.overall(await self.census.get())
        except bus_errors.BusError:
            broker = health.unreachable("broker")
            found = health.Overall(status="down", reasons=broker.reasons, services=())
        return _graded(found, found.status)

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text, or JSON when Accept wants that. The bridge's own ride on the router's."""
        stats = (await self.census.get()).stats
        found = health.pick(self.name, stats)
        if self.name == "router":
            found += health.pick("bridge", stats)
        if "application/json" in request.headers.get("Accept", ""):
            return reply({"service": self.name, "instances": metrics.numbers(found)})
        body = metrics.text(found).encode()
        return web.Response(body=body, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def config(self, request: web.Request) -> web.Response:
        """The effective settings, without secrets: those of the oldest process, and those of each."""
        found = health.pick(self.name, (await self.census.get()).stats)
        if not found and not health.is_character(self.name):
            raise problem.Problem(
                503, "down", f"No {self.name} process answers.", "GET /health on this port says more."
            )
        each = {one.id: one.vitals.config for one in found}
        first = found[0].vitals.config if found else {}
        return reply({"service": self.name, "config": first, "instances": each})


def reply(body: object, *, status: int = 200) -> web.Response:
    """`body` as JSON, one line with a newline at its end, as `curl` likes it."""
    data = msgspec.json.encode(body) + b"\n"
    return web.Response(status=status, body=data, content_type="application/json")


def _graded(body: msgspec.Struct, grade: health.Status) -> web.Response:
    response = reply(body, status=HTTP_STATUS[grade])
    response.headers[STATUS_HEADER] = grade
    if grade == "down":
        response.headers["Retry-After"] = str(problem.RETRY_AFTER_S)
    return response
