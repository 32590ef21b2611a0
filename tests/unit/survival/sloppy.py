"""A broker that takes every liberty its promises leave it.

It may deliver twice at once, or again after the ack with a count that starts anew, or out of order; it may
fail to tell who listens; and a power cut makes it forget the tail of what is not synced, acks, and who works
on what.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from svc.bus import api, broker, memory, streams, subjects

HELD_S = (0.0, 0.0, 0.3, 3.0)
"""How long a message is held back, where any order is allowed."""
AGAIN_S = 2.0
"""A message whose ack was forgotten comes back after this."""


class Sloppy(memory.Memory):
    """`twice`: two get every message at once. `forgetful`: the first ack of every message is forgotten, and
    how often it was delivered. `order`: draws what is held back. `silent`: nobody hears that a reply was
    stored. `lost`: messages that each unsynced stream loses at a power cut, and acks that are forgotten then.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        twice: bool = False,
        forgetful: bool = False,
        order: random.Random | None = None,
        silent: bool = False,
        lost: int = 3,
    ) -> None:
        super().__init__(clock)
        self.back_at = 0.0
        """By the loop's clock: until then the broker is away."""
        self.gone: list[str] = []
        """Subjects of what power cuts took."""
        self._twice = twice
        self._forgetful = forgetful
        self._order = order
        self._silent = silent
        self._lost = lost
        self._forgotten: set[str] = set()
        self._acked: list[tuple[memory._Durable, api.Message]] = []
        self._reconnected: list[Callable[[], None]] = []

    # -- what is there ------------------------------------------------------------------------------------

    def has(self, subject: str) -> bool:
        return subject in self._last

    def stored(self, stream: str) -> list[api.Message]:
        return [message for _, message in sorted(self._streams[stream].items())]

    def unfinished(self) -> list[str]:
        """What some consumer still has to take or to ack, and what is left in a work queue."""
        waiting = [
            f"{durable.consumer.name}: {message.subject}"
            for durable in self._durables.values()
            for sequence in (*durable.fresh, *durable.pending)
            if (message := self._streams[durable.consumer.stream].get(sequence))
        ]
        queued = [
            f"{stream.name}: {message.subject}"
            for stream in streams.STREAMS
            if stream.retention == "workqueue"
            for message in self.stored(stream.name)
        ]
        return waiting + queued

    def under_way(self) -> list[str]:
        """Reply subjects of the requests that somebody took and did not ack."""
        return [
            subjects.reply_of(stored.message.subject)
            for durable in self._durables.values()
            if streams.BY_NAME[durable.consumer.stream].retention == "workqueue"
            for stored in durable.pending.values()
        ]

    # -- liberties ----------------------------------------------------------------------------------------

    def take(self, durable: memory._Durable) -> broker.Delivery | None:
        """What is held back looks as if somebody had taken it, and died with it."""
        while durable.fresh and self._order is not None:
            if message := self._streams[durable.consumer.stream].get(durable.fresh.popleft()):
                held = durable.pending[message.sequence] = memory._Stored(message)
                held.invisible_until = self._clock() + self._order.choice(HELD_S)
        return super().take(durable)

    def _hear(self, message: api.Message, reply: str) -> None:
        if not (self._silent and message.subject.startswith("got.")):
            super()._hear(message, reply)

    def _deliver(self, durable: memory._Durable, stored: memory._Stored, now: float) -> broker.Delivery:
        delivery = super()._deliver(durable, stored, now)
        if self._twice and delivery.deliveries == 1:
            stored.invisible_until = now
        return delivery

    async def ack(self, delivery: broker.Delivery) -> None:
        found = self._pending(delivery)
        if found and self._forgetful and delivery.token not in self._forgotten:
            self._forgotten.add(delivery.token)
            durable, stored = found
            stored.deliveries, stored.invisible_until = 0, self._clock() + AGAIN_S
            durable.wake()
            return
        await super().ack(delivery)
        if found:
            self._acked.append((found[0], delivery.message))

    def cut(self, back_at: float) -> None:
        """The power fails, and the broker is back at `back_at`."""
        self.back_at = back_at
        acked, self._acked = self._acked[-self._lost :], []
        for durable, message in acked:
            self._unack(durable, message)
        for stream in streams.STREAMS:
            if stream.durability == "async":
                for sequence in sorted(self._streams[stream.name])[-self._lost :]:
                    self._lose(stream.name, sequence)
        for durable in self._durables.values():
            for stored in durable.pending.values():
                stored.deliveries, stored.invisible_until = 0, 0.0
            durable.wake()
        for callback in tuple(self._reconnected):
            callback()

    def _unack(self, durable: memory._Durable, message: api.Message) -> None:
        """The ack was not synced: the message is there again, unless another took its place."""
        kept = self._streams[message.stream]
        if message.sequence in kept or message.subject not in self._last:
            kept[message.sequence] = message
            self._last.setdefault(message.subject, message.sequence)
            durable.pending[message.sequence] = memory._Stored(message)

    def _lose(self, stream: str, sequence: int) -> None:
        self.gone.append(self._streams[stream][sequence].subject)
        self._forget(stream, sequence)
        for durable in self._durables.values():
            if durable.consumer.stream == stream:
                durable.pending.pop(sequence, None)

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._reconnected.append(callback)
        return lambda: self._reconnected.remove(callback)
