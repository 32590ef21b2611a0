"""Server-sent events, read as a browser reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    kind: str
    data: bytes
    id: str
    """The last id that was sent, with this event or before it; "" = none yet."""


async def read(lines: AsyncIterable[bytes], last: str) -> AsyncIterator[Event]:
    """The events of a stream, `last` being the id known from before. One that is cut off is dropped."""
    kind, data = "message", b""
    async for raw in lines:
        line = raw.rstrip(b"\r\n")
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                yield Event(kind, data, last)
            kind, data = "message", b""
        elif name == b"event":
            kind = value.decode()
        elif name == b"data":
            data += b"\n" + value if data else value
        elif name == b"id":
            last = value.decode()
