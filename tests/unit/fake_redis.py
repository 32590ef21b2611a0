"""A cache server that is a dict: the commands Quahog uses, and a switch that takes it away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import anyio.lowlevel
import redis.asyncio
import redis.exceptions

from svc import cache


class FakeRedis:
    """Values in `kept`, sorted sets in `sets`, lifetimes in `expiries`; every command raises `error`."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.sets: dict[str, dict[bytes, float]] = {}
        self.expiries: dict[str, int] = {}
        self.error: Exception | None = None
        self.hangs = False
        self.asked = 0

    def cache(self) -> cache.Cache:
        return cache.Cache(cast(redis.asyncio.Redis, self))

    def lose(self) -> None:
        """Everything is forgotten, as after a restart without a disk."""
        self.kept.clear()
        self.sets.clear()

    async def _reach(self) -> None:
        self.asked += 1
        await anyio.lowlevel.checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        if self.error is not None:
            raise self.error

    async def get(self, key: str) -> bytes | None:
        await self._reach()
        return self.kept.get(key)

    async def set(self, key: str, data: bytes, *, ex: int) -> bool:
        await self._reach()
        self.kept[key] = data
        self.expiries[key] = ex
        return True

    async def ping(self) -> bool:
        await self._reach()
        return True

    async def rename(self, key: str, to: str) -> bool:
        await self._reach()
        if key not in self.kept:
            raise redis.exceptions.ResponseError("no such key")
        self.kept[to] = self.kept.pop(key)
        self.expiries[to] = self.expiries.pop(key)
        return True

    async def exists(self, key: str) -> int:
        await self._reach()
        return int(key in self.kept or key in self.sets)

    async def zrange(self, key: str, start: int, end: int, *, withscores: bool) -> list[tuple[bytes, float]]:
        assert (start, end, withscores) == (0, -1, True)
        await self._reach()
        return sorted(self.sets.get(key, {}).items(), key=lambda row: (row[1], row[0]))

    def pipeline(self, *, transaction: bool) -> Pipeline:
        assert transaction
        return Pipeline(self)

    async def aclose(self) -> None:
        """Nothing to close."""


class Pipeline:
    """Commands that happen together, or not at all."""

    def __init__(self, server: FakeRedis) -> None:
        self._server = server
        self._commands: list[Callable[[], None]] = []

    async def __aenter__(self) -> Pipeline:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to give back."""

    def zadd(self, key: str, members: Mapping[bytes, float]) -> None:
        if not members:
            raise redis.exceptions.DataError("ZADD requires at least one element/score pair")
        self._commands.append(lambda: self._server.sets.setdefault(key, {}).update(members))

    def zremrangebyrank(self, key: str, start: int, end: int) -> None:
        assert start == 0
        self._commands.append(lambda: self._cut(key, end))

    def _cut(self, key: str, end: int) -> None:
        ranked = sorted(self._server.sets[key].items(), key=lambda row: (row[1], row[0]))
        self._server.sets[key] = dict(ranked[max(0, len(ranked) + end + 1) :])

    def expire(self, key: str, seconds: int) -> None:
        self._commands.append(lambda: self._server.expiries.update({key: seconds}))

    async def execute(self) -> None:
        await self._server._reach()
        for command in self._commands:
            command()
