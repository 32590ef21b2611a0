""" "Peter is typing…", for as long as his turn runs."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import discord
import msgspec

from svc.bus import api, errors
from svc.discord import place, refusal
from svc.wire import base, turn

log = logging.getLogger(__name__)

RENEW_S = 8.0
"""Discord shows it for ten seconds."""
TURN_MAX_S = 120.0
"""Nobody believes that somebody types longer, whatever became of the turn."""
TURNS_MAX = 50
"""Turns shown at once; beyond that a busy bot saves its rate limit for answers."""
CLIENT_S = 1.0


class Indicator:
    """Watches this character's turns begin and end. Lost messages cost an indicator, nothing else."""

    def __init__(
        self, bus: api.Bus, character: str, connection: Callable[[float], Awaitable[discord.Client]]
    ) -> None:
        self._bus = bus
        self._character = character
        self._connection = connection
        self._shown: dict[str, anyio.CancelScope] = {}
        """Turn -> what ends its indicator."""

    async def run(self) -> None:
        async with (
            self._bus.listen(f"turn.user.{self._character}.*.*") as turns,
            self._bus.listen("evt.turn.ended.*.*") as ended,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._end, ended)
            async for message in turns:
                try:
                    begun = base.decode(message.data, turn.Turn)
                except msgspec.MsgspecError as error:
                    log.warning("ignoring %s: %s", message.subject, error)
                    continue
                wanted = begun.surface == place.SURFACE and begun.id not in self._shown
                if wanted and len(self._shown) < TURNS_MAX:
                    left_s = begun.expires_at - time.time() if begun.expires_at else TURN_MAX_S
                    scope = anyio.CancelScope(deadline=anyio.current_time() + min(left_s, TURN_MAX_S))
                    self._shown[begun.id] = scope
                    tasks.start_soon(self._show, begun, scope)

    async def _end(self, ended: AsyncIterator[api.Message]) -> None:
        async for message in ended:
            if scope := self._shown.get(message.subject.split(".")[3]):
                scope.cancel()

    async def _show(self, begun: turn.Turn, scope: anyio.CancelScope) -> None:
        try:
            with scope:
                client = await self._connection(CLIENT_S)
                channel = client.get_partial_messageable(place.native(begun.channel))
                while True:
                    await channel.typing()
                    await anyio.sleep(RENEW_S)
        except (errors.Retry, discord.DiscordException, ValueError, *refusal.UNREACHABLE) as error:
            log.debug("no typing indicator in %s: %s", begun.channel, error)
        finally:
            del self._shown[begun.id]
