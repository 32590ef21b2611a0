"""The bridge: the documented ports for `curl`, and the web console, over the bus.

It owns nothing and decides nothing: every answer comes from a service or from the record. Run one per
machine; each follows the record for its own viewers.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import anyio
from aiohttp import web

from svc import config
from svc.bridge import body, console, feed, guard, listeners, monitoring, orchestrate, page, posting, settings
from svc.bus import api, service
from svc.wire import message, status

NAME = "bridge"


@contextlib.asynccontextmanager
async def open(app: service.App) -> AsyncIterator[service.Service]:
    """Open every port. Raises ConfigError for a port that is taken or a setting that is wrong."""
    wanted = config.read(settings.Settings)
    bridge = Bridge(app.bus, wanted)
    ports = wanted.table()
    apps = {name: bridge.application(name) for name in ports}
    async with listeners.serving(apps, wanted.http_host, ports), anyio.create_task_group() as tasks:
        tasks.start_soon(bridge.feed.run)
        try:
            yield service.Service(
                name=NAME,
                describe="The documented HTTP ports and the console",
                listens=(
                    service.Listen("console", "say.console", message.Say, bridge.posting.post),
                    service.Listen("http", "say.http", message.Say, bridge.posting.post),
                ),
                health=bridge.health,
                counters=bridge.counters,
                gauges=bridge.gauges,
                settings={**config.shown(wanted), "ports": " ".join(f"{k}:{v}" for k, v in ports.items())},
            )
        finally:
            tasks.cancel_scope.cancel()
            bridge.feed.close()


class Bridge:
    """What the ports share."""

    def __init__(self, bus: api.Bus, settings: settings.Settings) -> None:
        self.bus = bus
        self.census = monitoring.census(bus)
        self.guard = guard.Guard(settings.hosts())
        self.feed = feed.Feed(bus)
        self.posting = posting.Posting()
        self.orchestrate = orchestrate.Orchestrate(bus)
        self.console = console.Console(bus, self.feed)
        self.page = page.Page()

    def application(self, name: str) -> web.Application:
        """The web application of one port: monitoring everywhere, the rest on the router's."""
        app = web.Application(middlewares=[self.guard.middleware()], client_max_size=body.BODY_BYTES_MAX)
        app.on_response_prepare.append(guard.sign)
        port = monitoring.Monitoring(name, self.census)
        app.add_routes(
            [
                web.get("/health", port.health),
                web.get("/metrics", port.metrics),
                web.get("/config", port.config),
            ]
        )
        if name == "router":
            app.add_routes(
                [
                    web.get("/services/health", port.services),
                    web.post("/orchestrate", self.orchestrate.post),
                    web.get("/api/cast", self.console.cast),
                    web.post("/api/say", self.console.say),
                    web.get("/api/history", self.console.history),
                    web.get("/api/events", self.console.events, allow_head=False),
                    web.get("/api/turns/{turn}", self.console.turn),
                    web.get("/static/{name}", self.page.static),
                    web.get("/", self.page.index),
                ]
            )
        return app

    def health(self) -> status.Health:
        if self.bus.connected():
            return status.Health()
        return status.Health(level="degraded", reasons=("the broker can't be reached",))

    def counters(self) -> Mapping[str, float]:
        counts = self.guard.counts
        return {
            "bridge_http_requests_total": counts["requests"],
            "bridge_http_client_errors_total": counts["client_errors"],
            "bridge_http_server_errors_total": counts["server_errors"],
            "bridge_http_seconds_total": self.guard.seconds,
            "bridge_posted_total": self.posting.counts["posted"],
            "bridge_expired_total": self.posting.counts["expired"],
            "bridge_viewers_dropped_total": self.feed.dropped,
        }

    def gauges(self) -> Mapping[str, float]:
        return {"bridge_viewers": self.feed.viewers()}
