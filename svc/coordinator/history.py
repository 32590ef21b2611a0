"""The history of a channel: what was really said, newest kept, 24 hours.

In the memory of the process that holds the channel's lease, written through to the cache (`conv_history:…`),
and read back from the record when the cache lost it: the cache may vanish at any time. In the cache it is a
sorted set scored by the record's sequence, so writing a line twice or out of order changes nothing.
"""

from __future__ import annotations

import collections
import logging
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

import msgspec
import redis.asyncio

from svc import cache
from svc.bus import api, subjects
from svc.wire import base, message

log = logging.getLogger(__name__)

LINES_MAX = 200
"""Kept per channel; a prompt uses the last dozen."""
CHANNELS_MAX = 2_000
"""Channels kept in memory; the least recently used is forgotten (the cache still has it)."""
KIND = "conv_history"
MARKER = "conv_restored"
"""In the cache: the revision of MISSED when it was last made whole. Gone = the cache lost everything."""
MISSED = "history.missed"
"""In STATE: a new revision whenever the cache misses a line. The process that knows which one may die."""

Line = tuple[int, message.Utterance]
"""Sequence in the record, and what was said."""


class Missed(msgspec.Struct, frozen=True):
    """For whoever looks into STATE; that it was written is what counts."""

    channel: str
    line: str


class Channels:
    """Histories of the channels this process writes."""

    def __init__(self, bus: api.Bus, shared: cache.Cache) -> None:
        self._bus = bus
        self._cache = shared
        self._lines: collections.OrderedDict[str, dict[str, Line]] = collections.OrderedDict()
        self._dirty: set[str] = set()
        """Channels whose lines the cache missed while it was away."""

    async def read(self, channel: str, before: int | None = None) -> tuple[message.Utterance, ...]:
        """Oldest first; only what stands before that sequence of the record, when one is given."""
        return tuple(
            line for sequence, line in await self.numbered(channel) if before is None or sequence < before
        )

    async def numbered(self, channel: str) -> list[Line]:
        """Every line with its place in the record, oldest first."""
        return _ordered(await self._load(channel))

    async def peek(self, channel: str) -> list[Line]:
        """The same for a channel that another process may be writing: nothing of it is kept here."""
        return _ordered(_by_id(await self._fetch(channel)))

    async def add(self, channel: str, sequence: int, line: message.Utterance) -> None:
        """Put a line in its place. May run twice, and late: the words of an edit stay."""
        lines = await self._load(channel)
        _place(lines, (sequence, line))
        if len(lines) > LINES_MAX:
            del lines[min(lines, key=lambda name: lines[name][0])]
        unwritten = list(lines.values()) if channel in self._dirty else [(sequence, line)]
        if await self._write(channel, unwritten):
            self._dirty.discard(channel)
        else:
            self._dirty.add(channel)
            # Before the message is acked: whoever writes this channel after us must not trust the cache.
            await self._bus.state.put(MISSED, Missed(channel=channel, line=line.id))

    def forget(self, channel: str) -> None:
        """Somebody else may have written it since we last did: read it again."""
        self._lines.pop(channel, None)

    async def restore(self) -> int:
        """Write all histories into a cache that lost or missed some. Returns the lines written."""
        missed = await self._bus.state.get(MISSED)
        wanted = str(missed.revision if missed else 0)
        kept = await self._cache.run(KIND, _marker)
        if kept is None or kept == wanted:
            return 0
        # Under another name first: if the cache loses everything meanwhile, there is nothing to rename.
        ours = f"{MARKER}:{self._bus.instance}"
        await self._cache.run(KIND, lambda client: client.set(ours, wanted, ex=cache.TTL_S[KIND]))
        found: dict[str, list[Line]] = {}
        async for channel, line in recorded(self._bus):
            found.setdefault(channel, []).append(line)
        written = [await self._write(channel, lines[-LINES_MAX:]) for channel, lines in found.items()]
        if all(written):
            await self._cache.run(KIND, lambda client: client.rename(ours, MARKER))
        restored = sum(map(len, found.values()))
        if restored:
            log.info("restored %d lines of history from the record", restored)
        return restored

    async def _load(self, channel: str) -> dict[str, Line]:
        if (known := self._lines.get(channel)) is not None:
            self._lines.move_to_end(channel)
            return known
        loaded = self._lines[channel] = _by_id(await self._fetch(channel))
        if len(self._lines) > CHANNELS_MAX:
            self._lines.popitem(last=False)
        return loaded

    async def _fetch(self, channel: str) -> list[Line]:
        """From the cache; from the record where the cache is away or missed something."""
        rows = None
        if channel not in self._dirty:
            await self.restore()
            rows = await self._cache.run(
                KIND, lambda client: client.zrange(key(channel), 0, -1, withscores=True)
            )
        if rows is None:
            self._dirty.add(channel)
            return [line async for name, line in recorded(self._bus) if name == channel][-LINES_MAX:]
        return [(int(score), base.decode(data, message.Utterance)) for data, score in rows]

    async def _write(self, channel: str, lines: Sequence[Line]) -> bool:
        """Write lines, keep the newest, start the 24 hours anew, in one transaction; False = not written."""
        members: dict[bytes, float] = {base.encode(line): float(sequence) for sequence, line in lines}

        async def write(client: redis.asyncio.Redis) -> bool:
            async with client.pipeline(transaction=True) as commands:
                commands.zadd(key(channel), members)
                commands.zremrangebyrank(key(channel), 0, -LINES_MAX - 1)
                commands.expire(key(channel), cache.TTL_S[KIND])
                await commands.execute()
            return True

        return bool(await self._cache.run(KIND, write))


async def _marker(client: redis.asyncio.Redis) -> str:
    found = await client.get(MARKER)
    return found.decode() if isinstance(found, bytes) else found or ""


def _by_id(lines: Iterable[Line]) -> dict[str, Line]:
    kept: dict[str, Line] = {}
    for line in lines:
        _place(kept, line)
    return kept


def _place(kept: dict[str, Line], new: Line) -> None:
    """Of several lines of one message the last in the record counts, in whatever order they come."""
    sequence, line = new
    if line.id not in kept or kept[line.id][0] <= sequence:
        kept[line.id] = new


def _ordered(kept: Mapping[str, Line]) -> list[Line]:
    return sorted(kept.values(), key=lambda item: item[0])


def last_of_a_person(lines: Sequence[Line]) -> int:
    """The place in the record of the newest line that a person said; 0 when nobody did."""
    return max((sequence for sequence, line in lines if not line.author.bot), default=0)


def key(channel: str) -> str:
    return f"{KIND}:{channel}"


async def recorded(bus: api.Bus) -> AsyncIterator[tuple[str, Line]]:
    """Every line of the last 24 hours, by channel, from the record."""
    async for stored in bus.scan("RECORD", ("evt.message.heard.>", "evt.message.posted.>")):
        try:
            if subjects.parse(stored.subject).b == "heard":
                heard = base.decode(stored.data, message.Heard)
                yield heard.channel, (stored.first_sequence, of_heard(heard))
            else:
                posted = base.decode(stored.data, message.Posted)
                yield posted.channel, (stored.first_sequence, of_posted(posted))
        except (ValueError, msgspec.MsgspecError) as error:
            log.warning("%s in the record is no message: %s", stored.subject, error)


def of_heard(heard: message.Heard) -> message.Utterance:
    return message.Utterance(id=heard.message, author=heard.author, text=heard.text, at=heard.at)


def of_posted(posted: message.Posted) -> message.Utterance:
    """The id tells who it was; the name is how a prompt shows it: glenn-quagmire is "Glenn Quagmire"."""
    return message.Utterance(
        id=f"{posted.turn}-{posted.piece}",
        author=message.Author(
            id=posted.character, name=re.sub(r"[-_]+", " ", posted.character).title(), bot=True
        ),
        text=posted.text,
        character=posted.character,
        at=posted.at,
        notice=posted.notice,
    )
