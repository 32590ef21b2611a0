"""The shared cache (KeyDB, Valkey or Redis): keys, lifetimes, and no tears when it is gone.

The cache may vanish at any time. Every method answers as if nothing were cached while it can't be reached,
counts that, and `health()` says so; it is asked again after a short pause, so it comes back by itself.
Only commands that KeyDB 6.3 and Redis 6.2 have are used.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import msgspec
import redis.asyncio
import redis.exceptions

from svc.wire import base, status

log = logging.getLogger(__name__)

HOUR_S = 3600
TTL_S = {
    "llm": HOUR_S,
    "char_config": 24 * HOUR_S,
    "rag": HOUR_S,
    "conv_history": 24 * HOUR_S,
    "qc": HOUR_S // 2,
    # The document is silent about the next two. Advice changes as outcomes arrive, so it is short-lived;
    # a whole reply lives as long as the generation it came from.
    "ft_opt": 300,
    "reply": HOUR_S,
}
"""Kind of key (its first part) -> lifetime in seconds."""

CONNECTIONS = 16
OPERATION_S = 0.5
"""No cache operation may take longer: a slow cache is worse than none."""
RETRY_S = 1.0
"""After a failure the cache is left alone this long."""

S = TypeVar("S")


def digest(*parts: object) -> str:
    """A short stable hash of everything a value depends on. Order and boundaries count."""
    hashed = hashlib.blake2b(digest_size=12)
    for part in parts:
        piece = part if isinstance(part, bytes) else base.encode(part)
        hashed.update(len(piece).to_bytes(8, "big") + piece)
    return hashed.hexdigest()


class Cache:
    """Typed get/set over one connection pool, with hits and misses counted per kind of key."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self.counts: Counter[tuple[str, str]] = Counter()
        """(kind of key, `hit` | `miss` | `error`) -> times."""
        self._down_until = 0.0
        self._reason = ""

    @classmethod
    def connect(cls, url: str) -> Cache:
        """A cache at `url` (`redis://…` or `unix://…`); connects lazily, so it may be down now."""
        # A burst waits for a free connection; a plain pool would refuse it and look like an outage.
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            socket_timeout=OPERATION_S,
            socket_connect_timeout=OPERATION_S,
            max_connections=CONNECTIONS,
            timeout=OPERATION_S,
        )
        return cls(redis.asyncio.Redis(connection_pool=pool))

    async def get(self, key: str, kind: type[S]) -> S | None:
        """The value at `key` decoded as `kind`, or None when missing, unreadable or unreachable."""
        name = key.partition(":")[0]
        data = await self.run(name, lambda client: client.get(key))
        if data is None:
            self.counts[name, "miss"] += 1
            return None
        try:
            value = base.decode(data, kind)
        except msgspec.MsgspecError:
            self.counts[name, "error"] += 1
            return None
        self.counts[name, "hit"] += 1
        return value

    async def set(self, key: str, value: object) -> None:
        """Keep `value` for the lifetime of its kind of key. Does nothing while the cache is away."""
        name = key.partition(":")[0]
        data, ttl = base.encode(value), TTL_S[name]
        await self.run(name, lambda client: client.set(key, data, ex=ttl))

    async def run(self, name: str, command: Callable[[redis.asyncio.Redis], Awaitable[Any]]) -> Any:
        """Run `command` on the client; None when the cache is away. `name` is the kind of key."""
        if not self.up():
            return None
        try:
            with anyio.fail_after(OPERATION_S):
                answer = await command(self.client)
        except redis.exceptions.ResponseError as error:
            # The cache is well, the command was wrong for what is at that key.
            log.warning("the cache refused a command for %s: %s", name, error)
            self.counts[name, "error"] += 1
            return None
        except (redis.exceptions.RedisError, OSError, TimeoutError) as error:
            self._down_until = time.monotonic() + RETRY_S
            self._reason = f"{type(error).__name__}: {error}".rstrip(": ")
            self.counts[name, "error"] += 1
            return None
        self._reason = ""
        return answer

    def up(self) -> bool:
        """False for a short while after a failure; then it is worth another try."""
        return time.monotonic() >= self._down_until

    async def watch(self) -> None:
        """Until cancelled: look for a cache that went away, so that health says when it is back."""
        while True:
            await anyio.sleep(2 * RETRY_S)
            if self._reason:
                await self.run("ping", lambda client: client.ping())

    async def close(self) -> None:
        await self.client.aclose()

    def health(self) -> status.Health:
        if not self._reason:
            return status.Health()
        return status.Health(level="degraded", reasons=(f"cache unreachable: {self._reason}",))
