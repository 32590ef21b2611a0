"""What people say on Discord, published once however many bots hear it.

All bots of a guild hear the same message and publish the same subject; the first write wins. What other bots
and webhooks say is not heard: the cast knows its own lines from their receipts, and two bots that answer
each other never stop.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter

import anyio
import discord
import msgspec

from svc.bus import api, errors, subjects
from svc.discord import directory, place, text
from svc.wire import message as wire

log = logging.getLogger(__name__)

WAITING_MAX = 1000
"""Messages heard but not yet published: minutes of a busy server while the broker is away."""
AGE_MAX_S = 60.0
"""A message that could not be published for this long is let go: an answer would come out of nowhere."""
RETRY_S = 1.0
SETTLE_S = 5.0
"""The first message waits for the directory, rather than being published without its addressee."""
SAID = (discord.MessageType.default, discord.MessageType.reply)
"""Joins, pins, boosts and the like are nobody's words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Caught:
    """A message as it was when we heard it; who is behind the addressed users is looked up later."""

    heard: wire.Heard
    addressed: tuple[int, ...]
    """Discord user ids, in the order of the text; the author of the message replied to comes last."""
    direct: bool
    """A DM: it can only be meant for the bot that hears it."""


class Ear:
    """`catch` is called by the client in the order of events; `run` publishes in that order.

    One lane for all channels: it keeps the order in each of them, and is faster than Discord anywhere.
    """

    def __init__(self, bus: api.Bus, character: str, who: directory.Directory) -> None:
        self._bus = bus
        self._character = character
        self._directory = who
        self._send, self._receive = anyio.create_memory_object_stream[Caught](WAITING_MAX)
        self.counts: Counter[str] = Counter()
        """`published` by us, `repeated` (another bot was first), `lost`."""

    def catch(self, message: discord.Message) -> None:
        """Take a message in, if it is somebody's words.

        Never waits: discord.py starts its handlers in order but runs them concurrently.
        """
        if message.author.bot or message.webhook_id is not None or message.type not in SAID:
            return
        said = text.readable(message)
        if not said:
            return
        caught = Caught(
            heard=wire.Heard(
                message=subjects.message_id(place.SURFACE, str(message.id)),
                native=str(message.id),
                surface=place.SURFACE,
                channel=place.scoped(message.channel.id),
                author=wire.Author(id=str(message.author.id), name=text.name(message.author)),
                text=said,
                guild=str(message.guild.id) if message.guild else "",
                reply_to=_reply_to(message),
                at=message.created_at.timestamp(),
            ),
            addressed=addressed(message),
            direct=message.guild is None,
        )
        try:
            self._send.send_nowait(caught)
        except anyio.WouldBlock:
            self._lose(caught, f"{WAITING_MAX} messages wait already")
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            self._lose(caught, "the process is stopping")

    async def run(self) -> None:
        with self._send, self._receive:
            waited = False
            async for caught in self._receive:
                if not waited:
                    waited = True
                    await self._directory.settled(SETTLE_S)
                await self._publish(caught)

    async def _publish(self, caught: Caught) -> None:
        characters = [self._directory.character(user) for user in caught.addressed]
        to = (self._character,) if caught.direct else tuple(dict.fromkeys(filter(None, characters)))
        heard = msgspec.structs.replace(caught.heard, to=to)
        subject = subjects.event("message", "heard", heard.message, heard.revision)
        while True:
            try:
                first = await self._bus.publish(subject, heard)
            except errors.BusError as error:
                if time.time() - heard.at > AGE_MAX_S:
                    self._lose(caught, str(error))
                    return
                await anyio.sleep(RETRY_S)
            else:
                self.counts["published" if first else "repeated"] += 1
                return

    def _lose(self, caught: Caught, reason: str) -> None:
        self.counts["lost"] += 1
        log.warning("message %s was heard, but not published: %s", caught.heard.native, reason)


def addressed(message: discord.Message) -> tuple[int, ...]:
    """Users who are mentioned, by themselves or by the role Discord gave their bot, or replied to."""
    places: dict[int, int] = {}
    for user in message.mentions:
        places[user.id] = _first(message.content, f"<@{user.id}>", f"<@!{user.id}>")
    for role in message.role_mentions:
        if role.tags and role.tags.bot_id:
            places.setdefault(role.tags.bot_id, _first(message.content, f"<@&{role.id}>"))
    if message.reference and isinstance(message.reference.resolved, discord.Message):
        places.setdefault(message.reference.resolved.author.id, len(message.content))
    return tuple(sorted(places, key=lambda user: places[user]))


def _first(content: str, *needles: str) -> int:
    """Where the first of `needles` stands; the end when none does (a reply pings without a mention)."""
    found = [at for needle in needles if (at := content.find(needle)) >= 0]
    return min(found, default=len(content))


def _reply_to(message: discord.Message) -> str:
    reference = message.reference
    if message.type is not discord.MessageType.reply or reference is None:
        return ""
    return str(reference.message_id or "")
