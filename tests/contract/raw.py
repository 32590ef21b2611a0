"""A stranger who speaks the protocol by hand: no client library is in the way of what it sends."""

from __future__ import annotations

from collections.abc import Mapping

import anyio
from anyio.abc import SocketAttribute
from anyio.streams import buffered


async def publish(port: int, subject: bytes, data: bytes = b"{}", headers: bytes = b"") -> None:
    """Send one message, and wait until the server has read it."""
    if headers:
        line = b"HPUB %b %d %d" % (subject, len(headers), len(headers) + len(data))
    else:
        line = b"PUB %b %d" % (subject, len(data))
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        assert stream.extra(SocketAttribute.remote_port) == port
        reader = buffered.BufferedByteReceiveStream(stream)
        await stream.send(b'CONNECT {"verbose":false,"headers":true,"pedantic":false}\r\n')
        await stream.send(line + b"\r\n" + headers + data + b"\r\nPING\r\n")
        with anyio.fail_after(5):
            while await reader.receive_until(b"\r\n", 1 << 16) != b"PONG":
                pass


def block(headers: Mapping[str, str] | bytes) -> bytes:
    """Headers as they go over the wire."""
    if isinstance(headers, bytes):
        return headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return b"NATS/1.0\r\n" + lines.encode() + b"\r\n"
