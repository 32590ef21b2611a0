"""The coordinator: what it answers and what it listens to."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio

from svc.bus import cast, service
from svc.coordinator import addressing, history, table
from svc.wire import coordinator, message

NAME = "coordinator"


@contextlib.asynccontextmanager
async def open(app: service.App) -> AsyncIterator[service.Service]:
    """Composition root of the coordinator."""
    names = addressing.Names(await cast.wait(app.bus))
    channels = history.Channels(app.bus, app.cache)
    await channels.restore()
    host = table.Table(app.bus, channels, names)
    try:
        yield service.Service(
            name=NAME,
            describe="Hears every message, keeps the history, decides who speaks: only it publishes turns",
            answers=(
                service.Answer("history", coordinator.HistoryRequest, coordinator.History, host.history),
                service.Answer("decide", coordinator.DecideRequest, coordinator.Decision, host.decide),
                service.Answer("floor", coordinator.FloorRequest, coordinator.Floor, host.floor),
                service.Answer("cue", coordinator.CueRequest, coordinator.Cued, host.cue),
            ),
            listens=(
                service.Listen("coordinator-heard", "evt.message.heard", message.Heard, host.hear),
                service.Listen("coordinator-heard", "evt.message.posted", message.Posted, host.posted),
            ),
            health=app.cache.health,
            counters=host.counters,
        )
    finally:
        with anyio.CancelScope(shield=True):
            await host.leave()
