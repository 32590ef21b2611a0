"""A value that is fetched again only when it is old, and once however many ask."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class Fresh(Generic[T]):
    """`await get()` gives a value no older than `for_s` seconds.

    Whoever asks while a fetch runs waits for that one. A fetch that fails raises to the one who started it
    and is not kept, so the next in line tries again; the same when it was cancelled.
    """

    def __init__(self, fetch: Callable[[], Awaitable[T]], *, for_s: float) -> None:
        self.fetch = fetch
        self.for_s = for_s
        self._lock = anyio.Lock()
        self._kept: tuple[float, T] | None = None

    async def get(self) -> T:
        async with self._lock:
            if self._kept is not None and time.monotonic() - self._kept[0] < self.for_s:
                return self._kept[1]
            value = await self.fetch()
            self._kept = (time.monotonic(), value)
            return value
