"""Posting what the cast says: every piece once, with a receipt.

Three things keep a redelivered `say` from being posted twice, each where the one before it ends: the receipt
(recorded once the piece is posted), Discord's memory of nonces (some minutes), and the channel's own history.
Where none of them can tell, the piece is not posted: silence is better than an echo.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable

import anyio
import discord

from svc.bus import api, errors, job, subjects
from svc.discord import own, place, refusal, split, text
from svc.wire import base
from svc.wire import message as wire

log = logging.getLogger(__name__)

CLIENT_S = 40.0
"""How long a `say` waits for the connection before it is given back. The bus takes a handler without progress
for dead after 60 s, and buries a message after five deliveries: with the delays of `refusal` they last until
most answers are too old anyway (`limits.SAY_AGE_S`)."""
REQUEST_S = 45.0
"""discord.py tries five times over 25 s and waits out rate limits; all that has to end before the bus takes
a handler without progress for dead (60 s)."""
REFUSED_S = 60.0
"""A channel that refused us is left alone so long: 10,000 invalid requests in 10 minutes ban the host."""
LEFT_ALONE = "refused a moment ago, not asked again yet"


class Poster:
    """`post` is the handler of `say.discord.<character>`."""

    def __init__(
        self,
        bus: api.Bus,
        connection: Callable[[float], Awaitable[discord.Client]],
        nonce_memory_s: float,
    ) -> None:
        """`connection(within_s)` gives the client, or raises Retry."""
        self._bus = bus
        self._connection = connection
        self._nonce_memory_s = nonce_memory_s
        self._locks: weakref.WeakValueDictionary[str, anyio.Lock] = weakref.WeakValueDictionary()
        """One answer at a time in a channel: the pieces of two never mix."""
        self._refused: dict[str, float] = {}
        """Channel that refused us -> monotonic seconds until which it is left alone."""
        self.counts: Counter[str] = Counter()
        """Pieces `posted`, says `undelivered`."""

    async def post(self, say: wire.Say, delivery: job.Job) -> None:
        """Post every piece that isn't posted yet. May run twice.

        What will never be posted is recorded as `evt.turn.undelivered`. Raises Retry while Discord or the
        broker can't be reached, ValueError for a channel that is not Discord's, and what discord.py raises
        for a request that is wrong in itself.
        """
        lock = self._locks.setdefault(say.channel, anyio.Lock())
        async with lock:
            try:
                await self._post(say, delivery)
            except (errors.NotAccepted, errors.Overloaded) as error:
                raise errors.Retry(str(error)) from error

    async def _post(self, say: wire.Say, delivery: job.Job) -> None:
        posted: set[str] = set()
        """Native ids of this turn's pieces so far."""
        for number, piece in enumerate(split.split(text.harmless(say.text))):
            if not piece.text.strip():
                continue  # Discord refuses a message of nothing but space
            delivery.progress()
            subject = subjects.event("message", "posted", say.turn, number)
            if delivery.maybe_repeated():
                if recorded := await self._bus.last(subject):
                    posted.add(base.decode(recorded.data, wire.Posted).native)
                    continue
                if await self._bus.last(subjects.event("turn", "undelivered", say.turn, number)):
                    return
            try:
                sent = await self._once(say, delivery, number, piece.text, posted)
            except refusal.Undelivered as undelivered:
                await self._give_up(say, number, undelivered)
                return
            posted.add(str(sent.id))
            self.counts["posted"] += 1
            self._refused.pop(say.channel, None)
            await self._bus.publish(subject, receipt(say, number, sent))

    async def _once(
        self, say: wire.Say, delivery: job.Job, number: int, content: str, posted: set[str]
    ) -> discord.Message:
        """The posted piece, whether it is posted now or was by an earlier delivery.

        Raises Undelivered, Retry, and what `refusal.decide` leaves as it is.
        """
        begun = bool(posted)  # what was begun in time is finished, however late
        if not begun and delivery.deliveries == 1 and late_s(say, delivery) > 0:
            raise refusal.Undelivered("expired", f"{late_s(say, delivery):.0f} s too late")
        if time.monotonic() < self._refused.get(say.channel, 0.0):
            raise refusal.Undelivered("forbidden", LEFT_ALONE)
        channel_id = place.native(say.channel)
        client = await self._connection(CLIENT_S)
        me = client.user.id if client.user else 0
        channel = client.get_partial_messageable(channel_id, guild_id=int(say.guild) if say.guild else None)
        expired = not begun and late_s(say, delivery) > 0
        try:
            with anyio.fail_after(REQUEST_S):
                if expired or delivery.now() - delivery.first_at > self._nonce_memory_s:
                    earlier = await own.find(
                        channel, me, content, say.reply_to, since=delivery.first_at, taken=posted
                    )
                    if earlier:
                        return earlier
                if expired:
                    raise refusal.Undelivered("expired", f"{late_s(say, delivery):.0f} s too late")
                return await send(channel, content, say.reply_to, nonce(say.turn, number))
        except refusal.Undelivered:
            raise
        except Exception as error:
            raise refusal.decide(error, delivery.deliveries) from error

    async def _give_up(self, say: wire.Say, number: int, why: refusal.Undelivered) -> None:
        self.counts["undelivered"] += 1
        refused = why.reason in ("forbidden", "unknown_channel")
        if refused and say.channel not in self._refused:
            log.error(
                "%s can't post in channel %s of guild %s (%s): allow View Channel, Send Messages and Send "
                "Messages in Threads there, and unlock it if it is a locked thread",
                *(say.character, say.channel, say.guild or "-", why),
            )
        else:
            log.info("turn %s was not posted in %s: %s (%s)", say.turn, say.channel, why.reason, why)
        if refused and str(why) != LEFT_ALONE:
            self._refused[say.channel] = time.monotonic() + REFUSED_S
        undelivered = wire.Undelivered(
            turn=say.turn,
            piece=number,
            channel=say.channel,
            character=say.character,
            reason=why.reason,
            guild=say.guild,
            detail=str(why),
            at=time.time(),
        )
        await self._bus.publish(subjects.event("turn", "undelivered", say.turn, number), undelivered)


def late_s(say: wire.Say, delivery: job.Job) -> float:
    """How long ago it expired, in seconds; not above 0 while it is fresh."""
    return delivery.now() - say.expires_at if say.expires_at else 0.0


async def send(
    channel: discord.PartialMessageable, content: str, reply_to: str, nonce_: str
) -> discord.Message:
    """Post, as a reply where there is something to reply to, pinging nobody."""
    nobody = discord.AllowedMentions.none()
    if not reply_to:
        return await channel.send(content, nonce=nonce_, allowed_mentions=nobody)
    reference = discord.MessageReference(
        message_id=int(reply_to), channel_id=channel.id, guild_id=channel.guild_id, fail_if_not_exists=False
    )
    return await channel.send(content, nonce=nonce_, allowed_mentions=nobody, reference=reference)


def nonce(turn: str, piece: int) -> str:
    """13 of the 25 characters Discord allows; the same piece has the same nonce in every process.

    discord.py sends it with `enforce_nonce`: while Discord remembers it, posting again gives the first post.
    """
    return subjects.short_hash("nonce", turn, str(piece))


def receipt(say: wire.Say, piece: int, sent: discord.Message) -> wire.Posted:
    return wire.Posted(
        turn=say.turn,
        piece=piece,
        surface=place.SURFACE,
        channel=say.channel,
        character=say.character,
        text=sent.content,
        guild=say.guild,
        native=str(sent.id),
        reply_to=say.reply_to,
        at=sent.created_at.timestamp(),
        notice=say.notice,
    )
