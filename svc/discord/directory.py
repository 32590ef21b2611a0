"""Who is who: the Discord user behind each character, known to every bot.

A bot learns its own user id at login and nobody else's, but whichever of them is first to publish a message
must say who is addressed. So each announces itself as `evt.service.identified.<user id>.<unix ms>` and
follows what the others announce. The record is kept for 24 h and read from its beginning, so a bot that is
away just now is still known; later announcements replace earlier ones, which is what heals mixed-up tokens.
"""

from __future__ import annotations

import logging
import time

import anyio
import msgspec

from svc.bus import api, errors, subjects
from svc.wire import base
from svc.wire import discord as wire

log = logging.getLogger(__name__)

ANNOUNCED = "evt.service.identified.*.*"
ANNOUNCE_EVERY_S = 3600.0
"""Well within the 24 h the record keeps an announcement."""
ECHO_S = 0.5
"""By then we should have read our own announcement; the wait doubles each time we have not."""


class Directory:
    """`run` belongs in the background; the rest may be asked at any time."""

    def __init__(self, bus: api.Bus, character: str) -> None:
        self._bus = bus
        self._character = character
        self._user = ""
        self._by_user: dict[str, str] = {}
        self._wanted = anyio.Event()
        """Somebody has to hear of us now rather than in an hour."""
        self._ours: set[str] = set()
        """Subjects of our announcements."""
        self._settled = anyio.Event()
        """We have read one of them, and so all that was announced before."""

    def character(self, user: int) -> str | None:
        """The character this Discord user is, if it is one of the cast."""
        return self._by_user.get(str(user))

    def __len__(self) -> int:
        return len(self._by_user)

    def logged_in(self, user: int) -> None:
        """We are this Discord user. May be called at every connect."""
        self._user = str(user)
        self._remember(wire.Identified(character=self._character, user=self._user))
        self._wanted.set()

    async def settled(self, within_s: float) -> bool:
        """Wait until everything announced before our login is known; False if that took too long."""
        with anyio.move_on_after(within_s):
            await self._settled.wait()
        return self._settled.is_set()

    async def run(self) -> None:
        """Follow and announce, as long as the process lives."""
        async with (
            self._bus.follow("LOG", (ANNOUNCED,), since=api.FIRST) as announced,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._announce)
            async for message in announced:
                self._learn(message)

    async def _announce(self) -> None:
        """At every login, and every hour."""
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            await self._announce_now()
            with anyio.move_on_after(ANNOUNCE_EVERY_S):
                await self._wanted.wait()
            self._wanted.set()

    async def _announce_now(self) -> None:
        """Announce until it is stored and, the first time, until we have read it back."""
        wait_s = ECHO_S
        while True:
            subject = subjects.event("service", "identified", self._user, int(time.time() * 1000))
            self._ours.add(subject)
            try:
                await self._bus.publish(subject, wire.Identified(character=self._character, user=self._user))
            except errors.BusError as error:
                log.warning("%s can't announce itself yet: %s", self._character, error)
                await anyio.sleep(wait_s)
            else:
                if await self.settled(wait_s):
                    self._ours.clear()
                    return
            wait_s = min(wait_s * 2, ANNOUNCE_EVERY_S)

    def _learn(self, message: api.Message) -> None:
        try:
            identified = base.decode(message.data, wire.Identified)
        except msgspec.MsgspecError as error:
            log.warning("ignoring %s: %s", message.subject, error)
            return
        if message.subject in self._ours:
            self._settled.set()
        self._remember(identified)

    def _remember(self, identified: wire.Identified) -> None:
        stale = [user for user, name in self._by_user.items() if name == identified.character]
        for user in stale:
            del self._by_user[user]
        self._by_user[identified.user] = identified.character
