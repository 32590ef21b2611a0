"""Sockets: one small web application per documented port."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import AsyncIterator, Mapping

import anyio
from aiohttp import web

from svc import errors

SHUTDOWN_S = 3.0
"""What a request in flight may still take when the process is told to stop."""
REASONS = {
    errno.EADDRINUSE: (
        "port {port} ({name}) on {host} is taken: stop what uses it (`ss -ltnp sport = :{port}` shows it), "
        "or give {name} another port in QUAHOG_PORTS"
    ),
    errno.EACCES: "port {port} ({name}) needs root: give {name} one above 1023 in QUAHOG_PORTS",
    errno.EADDRNOTAVAIL: "this machine has no address {host}: correct QUAHOG_HTTP_HOST",
}


@contextlib.asynccontextmanager
async def serving(
    apps: Mapping[str, web.Application], host: str, ports: Mapping[str, int]
) -> AsyncIterator[None]:
    """Every application on its port, for as long as the block runs.

    Raises ConfigError naming the port that can't be had; then none stays open.
    """
    async with contextlib.AsyncExitStack() as stack:
        for name, app in apps.items():
            # A browser that goes away ends its request here and now, not at the next heartbeat.
            runner = web.AppRunner(
                app, access_log=None, handler_cancellation=True, shutdown_timeout=SHUTDOWN_S
            )
            await runner.setup()
            stack.push_async_callback(_close, runner)
            site = web.TCPSite(runner, host, ports[name], backlog=128, reuse_address=True, reuse_port=False)
            try:
                await site.start()
            except OSError as error:
                raise errors.ConfigError(_reason(error, name, host, ports[name])) from None
        yield


async def _close(runner: web.AppRunner) -> None:
    """Also when we are cancelled: a socket left open would keep the port. Bounded by SHUTDOWN_S."""
    with anyio.CancelScope(shield=True):
        await runner.cleanup()


def _reason(error: OSError, name: str, host: str, port: int) -> str:
    known = REASONS.get(error.errno or 0)
    if known is None:
        return f"can't listen on {host}:{port} ({name}): {error.strerror or error}; see QUAHOG_HTTP_HOST"
    return known.format(name=name, host=host, port=port)
