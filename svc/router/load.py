"""When too much is going on: planned turns are shed first, and a person is told so once a minute.

The busy line is honest, in character, and heard at most once per channel and minute over all routers and
restarts (kept in STATE). Whose turn has said it may say it again: a router that takes over after a crash
comes to the same outcome.
"""

from __future__ import annotations

import msgspec

from svc.bus import api, limits, subjects
from svc.wire import base, turn

KEY = "busy"
WAITING_MAX = limits.MODEL_SLOTS
"""With more requests than this waiting for the model nobody needs small talk."""


class Said(msgspec.Struct, frozen=True):
    """The last busy line of a channel."""

    turn: str
    at: float
    """Unix seconds."""


class Load:
    """Of this machine, as far as turns care."""

    def __init__(self, bus: api.Bus) -> None:
        self._bus = bus

    async def waiting(self) -> int:
        """Requests that wait for the model, without those it works on."""
        return (await self._bus.queue("llm")).waiting

    async def may_say_busy(self, turn_: turn.Turn) -> bool:
        """Whether this turn may say that there is too much going on. May run twice."""
        key = f"{KEY}.{subjects.short_hash(turn_.channel)}"
        entry = await self._bus.state.get(key)
        now = self._bus.now()
        if entry is not None:
            said = base.decode(entry.data, Said)
            if said.turn == turn_.id:
                return True
            if now - said.at < limits.BUSY_EVERY_S:
                return False
        revision = entry.revision if entry else 0
        return await self._bus.state.put(key, Said(turn_.id, now), revision=revision) is not None
