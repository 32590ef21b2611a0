"""Questions to a server: does it answer, and is it ours?"""

from __future__ import annotations

import functools
import http.client
import urllib.parse
from collections.abc import Awaitable, Callable

import anyio
import anyio.to_thread

ANSWER_S = 2.0
POLL_S = 0.03
LINE_BYTES = 64 * 1024


async def until(answers: Callable[[], Awaitable[bool]]) -> bool:
    """Ask again and again until it is True; ends by cancellation otherwise."""
    while True:
        if await answers():
            return True
        await anyio.sleep(POLL_S)


async def ask(host: str, port: int, question: bytes = b"", until: bytes = b"\r\n") -> bytes:
    """Connect, send `question`, give what is received up to `until`; b"" when nobody answers that way."""
    received = b""
    try:
        with anyio.fail_after(ANSWER_S):
            async with await anyio.connect_tcp(host, port) as stream:
                if question:
                    await stream.send(question)
                while until not in received and len(received) < LINE_BYTES:
                    received += await stream.receive()
    except (OSError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError):
        return b""
    return received


async def get(url: str) -> bytes | None:
    """The body of a 200 answer, else None. Ignores proxies: this is about one's own machine."""
    return await anyio.to_thread.run_sync(functools.partial(_get, url), abandon_on_cancel=True)


def _get(url: str) -> bytes | None:
    parts = urllib.parse.urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_S)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}")
            answer = connection.getresponse()
            return answer.read() if answer.status == http.client.OK else None
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None
