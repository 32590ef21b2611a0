"""A service served over the bus in memory, for as long as a block runs."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio

from svc.bus import connection, serve, service

READY_S = 5.0


@contextlib.asynccontextmanager
async def serving(bus: connection.Connection, *served: service.Service) -> AsyncIterator[None]:
    """Every given service works off its queues inside the block."""
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for one in served:
            ready = anyio.Event()
            tasks.start_soon(serve.Server(bus, one).run, stop, ready.set)
            with anyio.fail_after(READY_S):
                await ready.wait()
        try:
            yield
        finally:
            stop.set()
