"""Two processes of the coordinator over one bus and one cache, and things people say."""

from __future__ import annotations

import time

from svc.bus import connection, job, memory, subjects
from svc.coordinator import addressing, history, table
from svc.wire import base, characters, coordinator, message, turn
from tests.unit import fake_redis

FALLBACKS = characters.Fallbacks(failed=("No.",), busy=("Busy.",), unknown=("Dunno.",))
NAMES = addressing.Names(
    tuple(
        characters.Pack(id=name.casefold(), name=name, summary="s", fallbacks=FALLBACKS)
        for name in ("Peter", "Brian")
    )
)
CHANNEL = "discord-1"


class Room:
    """What the processes share."""

    def __init__(self) -> None:
        self.memory = memory.Memory()
        self.redis = fake_redis.FakeRedis()
        self.bus = connection.Connection(self.memory, "surface")

    def process(self) -> table.Table:
        """Another process."""
        bus = connection.Connection(self.memory, "coordinator")
        return table.Table(bus, history.Channels(bus, self.redis.cache()), NAMES)

    def channels(self) -> history.Channels:
        return history.Channels(self.bus, self.redis.cache())

    async def hear(self, host: table.Table, heard: message.Heard, *, deliveries: int = 1) -> job.Job:
        """Record it, as a surface does, and hand it over, as the bus does."""
        subject = subjects.event("message", "heard", heard.message, heard.revision)
        await self.bus.publish(subject, heard)
        circumstances = await self.job(subject, deliveries)
        await host.hear(heard, circumstances)
        return circumstances

    async def post(self, host: table.Table, posted: message.Posted, *, deliveries: int = 1) -> None:
        subject = subjects.event("message", "posted", posted.turn, posted.piece)
        await self.bus.publish(subject, posted)
        await host.posted(posted, await self.job(subject, deliveries))

    async def job(self, subject: str, deliveries: int = 1) -> job.Job:
        stored = await self.bus.last(subject)
        assert stored is not None
        return job.Job(
            bus=self.bus,
            subject=subjects.parse(subject),
            deadline=time.time() + 30,
            stored_at=stored.at,
            sequence=stored.sequence,
            deliveries=deliveries,
        )

    async def turns(self) -> list[turn.Turn]:
        stored = await self.memory.latest("TURNS", ["turn.>"])
        return [base.decode(one.data, turn.Turn) for one in stored]

    async def decisions(self) -> list[coordinator.Decision]:
        stored = await self.memory.latest("LOG", ["evt.decision.made.>"])
        return [base.decode(one.data, coordinator.Decision) for one in stored]


def heard(
    number: int, text: str, *, revision: int = 0, channel: str = CHANNEL, to: tuple[str, ...] = ()
) -> message.Heard:
    native = f"{channel}-{number}"
    return message.Heard(
        message=subjects.message_id("discord", native),
        native=native,
        surface="discord",
        channel=channel,
        author=message.Author(id="1", name="Ann"),
        text=text,
        guild="g1",
        to=to,
        at=float(number),
        revision=revision,
    )


def posted(turn_id: str, text: str, *, piece: int = 0, channel: str = CHANNEL) -> message.Posted:
    return message.Posted(
        turn=turn_id, piece=piece, surface="discord", channel=channel, character="peter", text=text
    )
