"""The door: one fake Discord on loopback.

discord = server.FakeDiscord()
lois, peter = discord.world.add_user("Lois"), discord.world.add_user("Peter", bot=True)
guild = discord.world.add_guild("Quahog", lois, [lois, peter])
clam = discord.world.add_channel(guild, "drunken-clam")
async with discord.running():
    ...                                     # log a client in with `tok-Peter`
    await discord.say(lois, clam, f"hi <@{peter['id']}>")
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import discord.gateway
import discord.http
import yarl
from aiohttp import web

from tests.fake_discord import gateway, interactions, limits, messages, protocol, rest, world
from tests.fake_discord.protocol import Json

BODY_BYTES_MAX = 32 << 20
STOP_S = 0.2


class FakeDiscord:
    def __init__(
        self,
        *,
        heartbeat_ms: int = 41_250,
        rate: tuple[int, float] = (5, 5.0),
        compress: bool = True,
        nonce_memory_s: float = 300.0,
    ) -> None:
        """`rate`: posts and edits per channel and bot, (how many, in seconds)."""
        self.rate = rate
        self.world = world.World()
        self.gateway = gateway.Gateway(self.world, heartbeat_ms=heartbeat_ms, compress=compress)
        self.messages = messages.Messages(self.world, self.gateway, nonce_memory_s)
        self.interactions = interactions.Interactions()
        self.buckets = limits.Buckets()
        self.faults = limits.Faults()
        self.rest = rest.Rest(self)
        self.base = ""
        """Where the REST API is, once it runs."""
        self._runner: web.AppRunner | None = None
        self._port = 0

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator[Self]:
        await self.start(port)
        try:
            yield self
        finally:
            await self.stop()

    async def start(self, port: int = 0) -> None:
        """Listen on `port` (0 = a free one). After `stop`, 0 means the same port as before."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        self.rest.add_to(app, (*rest.ROUTES, *interactions.ROUTES))
        app.router.add_get("/", self.gateway.serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port or self._port).start()
        self._port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{self._port}{protocol.API}"
        self.gateway.url = f"ws://127.0.0.1:{self._port}/"

    async def stop(self) -> None:
        await self.gateway.close()
        if self._runner:
            await self._runner.cleanup()

    @contextlib.contextmanager
    def patched(self) -> Iterator[Self]:
        """Point discord.py here, for clients that don't do so themselves."""
        before = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
        discord.http.Route.BASE = self.base
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self.gateway.url)
        try:
            yield self
        finally:
            discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = before

    async def say(self, user: Json, channel: Json, content: str, **fields: Any) -> Json:
        """A person posts. `fields` as in the REST body: `message_reference`, `_files`, …"""
        return await self.messages.post(user, channel, {"content": content, **fields})

    def posted(self, user: Json, channel: Json | None = None) -> list[Json]:
        """What a user has posted (in one channel), oldest first."""
        return [
            message
            for message in self.messages.by_id.values()
            if message["author"]["id"] == user["id"]
            and (not channel or message["channel_id"] == channel["id"])
        ]
