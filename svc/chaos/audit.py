"""What the system itself has written down, read at the end: outcomes, receipts, generations, what is left."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from pathlib import Path

import anyio
import msgspec

from svc.bus import connection, jetstream, streams
from svc.chaos import tally
from svc.wire import base, message, record, turn

SETTLE_S = 45.0
"""Until every queue is empty: the longest lease (8 s), a few times over."""
POLL_S = 0.3


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """`evt.message.posted`, with its number in the record."""

    number: int
    asked: tally.Asked
    post: tally.Post


class _Generation(msgspec.Struct, frozen=True):
    turn: str
    n: str


class Auditor:
    """Reads over a connection of its own."""

    def __init__(self, jet: jetstream.JetStream) -> None:
        self._jet = jet
        self._bus = connection.Connection(jet, "chaos")

    async def settled(self) -> dict[str, int]:
        """Wait until nothing is queued or in progress anywhere; queue group -> messages that still are."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            left = await self._left()
            if not left or time.monotonic() > deadline:
                return left
            await anyio.sleep(POLL_S)

    async def _left(self) -> dict[str, int]:
        found = {}
        for stream in streams.STREAMS:
            listed = await self._jet.administer(f"CONSUMER.LIST.{stream.name}", {})
            for one in listed.get("consumers") or ():
                waits = one["num_pending"] + one["num_ack_pending"]
                if waits and one["config"].get("durable_name"):
                    found[one["name"]] = waits
        return found

    async def outcomes(self) -> dict[str, list[str]]:
        """Turn -> its recorded outcomes."""
        found: dict[str, list[str]] = {}
        async for stored in self._bus.scan("RECORD", ("evt.turn.ended.>",)):
            ended = base.decode(stored.data, turn.Ended)
            found.setdefault(ended.turn, []).append(ended.outcome)
        return found

    async def receipts(self) -> list[Receipt]:
        found = []
        async for stored in self._bus.scan("RECORD", ("evt.message.posted.>",)):
            posted = base.decode(stored.data, message.Posted)
            asked = tally.Asked(posted.channel, posted.reply_to, posted.character)
            post = tally.Post(posted.turn, posted.piece, posted.text)
            found.append(Receipt(stored.sequence, asked, post))
        return found

    async def dead(self) -> int:
        """Messages that were buried."""
        info = await self._jet.administer("STREAM.INFO.DEAD", {})
        return int(info["state"]["messages"])

    async def turn(self, turn_id: str) -> record.TurnRecord:
        return await self._bus.turn_record(turn_id)


def generations(log: Path) -> Counter[tuple[str, str]]:
    """(turn, attempt) -> generations that the engine completed for it, by whatever method."""
    try:
        lines = log.read_bytes().splitlines()
    except FileNotFoundError:
        return Counter()
    made = (msgspec.json.decode(line, type=_Generation) for line in lines)
    return Counter((one.turn, one.n) for one in made)
