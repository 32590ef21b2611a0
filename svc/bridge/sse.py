"""Server-sent events: the frames, and one response that writes them."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
from aiohttp import web
from anyio.streams import memory

HEARTBEAT_S = 15.0
"""A comment after this much silence keeps proxies from closing, and finds viewers that are gone."""
WRITE_S = 10.0
"""A viewer that takes no bytes for this long is gone."""
RETRY_MS = 1_500
"""How long a browser waits before it reconnects."""
TYPE = "text/event-stream"
HEADERS = {
    "Content-Type": TYPE,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}


def frame(event: str, data: bytes, *, sequence: int | None = None) -> bytes:
    """One event. `data` is JSON, so it has no newlines. Without `sequence` the viewer's last id stays."""
    head = b"" if sequence is None else b"id: %d\n" % sequence
    return head + b"event: %b\ndata: %b\n\n" % (event.encode(), data)


async def respond(
    request: web.Request, first: Iterable[bytes], frames: memory.MemoryObjectReceiveStream[bytes]
) -> web.StreamResponse:
    """Write `first`, then every frame as it comes, until `frames` ends or the viewer leaves."""
    response = web.StreamResponse(headers=HEADERS)
    await response.prepare(request)
    try:
        await _write(response, b"retry: %d\n\n" % RETRY_MS + b"".join(first))
        while True:
            await _write(response, await _next(frames))
    except (anyio.EndOfStream, ConnectionError, TimeoutError):
        return response


async def _next(frames: memory.MemoryObjectReceiveStream[bytes]) -> bytes:
    with anyio.move_on_after(HEARTBEAT_S):
        return await frames.receive()
    return b": still here\n\n"


async def _write(response: web.StreamResponse, data: bytes) -> None:
    with anyio.fail_after(WRITE_S):
        await response.write(data)
