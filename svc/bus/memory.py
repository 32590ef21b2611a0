"""The broker in memory: what JetStream does for us, in one process, for unit tests and the simulator.

It keeps the rules the bus relies on: once per subject, work queues that refuse when full and forget what is
acked, durable consumers whose unacked messages come back, republishing, schedules, direct reads.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import anyio

from svc.bus import api, broker, errors, limits, streams, subjects
from svc.wire import status

PULL_S = 0.5
"""Long enough not to spin, short enough for tests."""


@dataclasses.dataclass(slots=True)
class _Stored:
    message: api.Message
    deliveries: int = 0
    invisible_until: float = 0.0
    """Time by the clock before which no consumer gets it again."""


@dataclasses.dataclass(slots=True)
class _Durable:
    consumer: streams.Consumer
    fresh: collections.deque[int] = dataclasses.field(default_factory=collections.deque[int])
    """Sequences that were never delivered, oldest first."""
    pending: dict[int, _Stored] = dataclasses.field(default_factory=dict)
    """Delivered and not acked."""
    pinned: _Puller | None = None
    """Who is served, where only one is."""
    changed: anyio.Event = dataclasses.field(default_factory=anyio.Event)

    def wants(self, message: api.Message) -> bool:
        return message.stream == self.consumer.stream and any(
            subjects.matches(pattern, message.subject) for pattern in self.consumer.filters
        )

    def wake(self) -> None:
        """Whoever waits for a message looks again."""
        self.changed.set()
        self.changed = anyio.Event()


class Memory:
    """Implements `broker.Broker`. `clock` gives Unix seconds, so that a simulator can run its own time."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._streams: dict[str, dict[int, api.Message]] = {stream.name: {} for stream in streams.STREAMS}
        self._last: dict[str, int] = {}
        """Subject -> sequence of its last stored message that still exists."""
        self._sequences = {stream.name: itertools.count(1) for stream in streams.STREAMS}
        self._durables: dict[str, _Durable] = {}
        self._subscriptions: dict[int, tuple[str, broker.Callback]] = {}
        self._ids = itertools.count()
        self._schedules: list[tuple[float, str, bytes, dict[str, str]]] = []
        self._changed = anyio.Event()

    # -- storing ------------------------------------------------------------------------------------

    async def append(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        expect: int | None = 0,
        within_s: float = limits.APPEND_S,
    ) -> int:
        await anyio.lowlevel.checkpoint()
        # Core listeners hear a publish whether the stream takes it or not.
        self._hear(api.Message(subject, data, dict(headers)), "")
        return self._append(subject, data, dict(headers), expect)

    def _append(self, subject: str, data: bytes, headers: dict[str, str], expect: int | None) -> int:
        name = streams.stream_of(subject)
        if name is None:
            raise errors.NotAccepted(f"no stream stores {subject}")
        if len(data) > limits.BODY_BYTES_MAX:
            raise errors.NotAccepted(f"{subject}: {len(data)} bytes is more than {limits.BODY_BYTES_MAX}")
        stream, stored = streams.BY_NAME[name], self._streams[name]
        if expect is not None and self._last.get(subject, 0) != expect:
            raise errors.AlreadyRecorded(subject)
        if stream.max_msgs >= 0 and len(stored) >= stream.max_msgs:
            raise errors.Overloaded(f"{subject}: the queue is full")
        sequence = next(self._sequences[name])
        if stream.max_msgs_per_subject == 1 and (previous := self._last.get(subject)):
            stored.pop(previous, None)
        message = api.Message(subject, data, headers, name, sequence, self._clock())
        stored[sequence] = message
        self._last[subject] = sequence
        if schedule := headers.get(broker.SCHEDULE):
            self._plan(schedule, headers, data)
        if stream.republish and subjects.matches(stream.republish[0], subject):
            prefix = stream.republish[1].removesuffix(">")
            self._publish(prefix + subject.partition(".")[2], data, headers)
        for durable in self._durables.values():
            if durable.wants(message):
                durable.fresh.append(sequence)
                durable.wake()
        self._notify()
        return sequence

    def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Core publish: to whoever listens, and into the stream that captures it."""
        self._hear(api.Message(subject, data, headers), "")
        if streams.stream_of(subject):
            self._append(subject, data, headers, None)

    def _plan(self, schedule: str, headers: dict[str, str], data: bytes) -> None:
        at = datetime.datetime.fromisoformat(schedule.removeprefix("@at ")).timestamp()
        kept = {key: value for key, value in headers.items() if not key.startswith("Nats-")}
        self._schedules.append((at, headers[broker.SCHEDULE_TARGET], data, kept))

    def _fire(self) -> None:
        due = [plan for plan in self._schedules if plan[0] <= self._clock()]
        for plan in sorted(due, key=lambda plan: plan[0]):
            self._schedules.remove(plan)
            self._append(plan[1], plan[2], plan[3], None)

    def _notify(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # -- reading --------------------------------------------------------------------------------------

    async def last(self, subject: str) -> api.Message | None:
        await anyio.lowlevel.checkpoint()
        name = streams.stream_of(subject)
        return self._streams[name].get(self._last.get(subject, 0)) if name else None

    async def latest(self, stream: str, patterns: Sequence[str]) -> list[api.Message]:
        await anyio.lowlevel.checkpoint()
        return [
            message
            for sequence, message in sorted(self._streams[stream].items())
            if self._last.get(message.subject) == sequence
            and any(subjects.matches(pattern, message.subject) for pattern in patterns)
        ]

    async def read(self, stream: str, sequence: int) -> api.Message | None:
        await anyio.lowlevel.checkpoint()
        return self._streams[stream].get(sequence)

    async def queue(self, stream: str) -> status.Queue:
        await anyio.lowlevel.checkpoint()
        mine = [durable for durable in self._durables.values() if durable.consumer.stream == stream]
        working = sum(len(durable.pending) for durable in mine)
        return status.Queue(waiting=len(self._streams[stream]) - working, working=working)

    async def delete(self, stream: str, sequence: int) -> bool:
        await anyio.lowlevel.checkpoint()
        return self._forget(stream, sequence)

    def _forget(self, stream: str, sequence: int) -> bool:
        """Drop a message; the one before it becomes the last of its subject again."""
        message = self._streams[stream].pop(sequence, None)
        if message is None:
            return False
        if self._last.get(message.subject) == sequence:
            del self._last[message.subject]
            kept = self._streams[stream].items()
            earlier = [number for number, other in kept if other.subject == message.subject]
            if earlier:
                self._last[message.subject] = max(earlier)
        return True

    async def depth(self, stream: str) -> int:
        await anyio.lowlevel.checkpoint()
        return len(self._streams[stream])

    @contextlib.asynccontextmanager
    async def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int
    ) -> AsyncIterator[AsyncIterator[api.Message]]:
        start = since
        if since == api.NOW or since < api.FIRST:
            start = max(self._streams[stream], default=0) + since

        async def messages() -> AsyncIterator[api.Message]:
            sequence = start
            while True:
                changed = self._changed
                for number, message in sorted(self._streams[stream].items()):
                    if number > sequence and any(subjects.matches(p, message.subject) for p in patterns):
                        sequence = number
                        yield message
                with anyio.move_on_after(PULL_S):
                    await changed.wait()

        yield messages()

    async def scan(self, stream: str, patterns: tuple[str, ...]) -> AsyncIterator[api.Message]:
        await anyio.lowlevel.checkpoint()
        for _, message in sorted(self._streams[stream].items()):
            if any(subjects.matches(pattern, message.subject) for pattern in patterns):
                yield message

    # -- core ------------------------------------------------------------------------------------------

    async def cast(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        await anyio.lowlevel.checkpoint()
        self._hear(api.Message(subject, data, dict(headers or {})), reply)

    def _hear(self, message: api.Message, reply: str) -> None:
        kind = message.subject.partition(".")[0]
        for pattern, callback in tuple(self._subscriptions.values()):
            # Most listen to another kind: told apart without taking every pattern to pieces.
            if pattern.startswith((kind, "*", ">")) and subjects.matches(pattern, message.subject):
                callback(message, reply)

    async def subscribe(self, pattern: str, callback: broker.Callback) -> broker.Subscription:
        number = next(self._ids)
        self._subscriptions[number] = (pattern, callback)
        return _Subscription(lambda: self._subscriptions.pop(number, None))

    # -- working off -------------------------------------------------------------------------------------

    async def puller(self, consumer: streams.Consumer) -> broker.Puller:
        durable = self._durables.get(consumer.name)
        if durable is None:
            durable = self._durables[consumer.name] = _Durable(consumer)
            stored = sorted(self._streams[consumer.stream].items())
            durable.fresh.extend(sequence for sequence, message in stored if durable.wants(message))
        return _Puller(self, durable)

    def take(self, durable: _Durable) -> broker.Delivery | None:
        """The next message a durable consumer may have, or None."""
        self._fire()
        now, consumer = self._clock(), durable.consumer
        for stored in durable.pending.values():
            if stored.invisible_until <= now:
                return self._deliver(durable, stored, now)
        while durable.fresh and len(durable.pending) < consumer.max_ack_pending:
            sequence = durable.fresh.popleft()
            if message := self._streams[consumer.stream].get(sequence):
                stored = durable.pending[sequence] = _Stored(message)
                return self._deliver(durable, stored, now)
        return None

    def _deliver(self, durable: _Durable, stored: _Stored, now: float) -> broker.Delivery:
        stored.deliveries += 1
        stored.invisible_until = now + durable.consumer.ack_wait_s
        durable.wake()  # there is one lease more that may run out
        token = f"{durable.consumer.name}.{stored.message.sequence}"
        return broker.Delivery(stored.message, stored.deliveries, token)

    def _pending(self, delivery: broker.Delivery) -> tuple[_Durable, _Stored] | None:
        name, _, sequence = delivery.token.rpartition(".")
        durable = self._durables[name]
        stored = durable.pending.get(int(sequence))
        return (durable, stored) if stored else None

    async def ack(self, delivery: broker.Delivery) -> None:
        await anyio.lowlevel.checkpoint()
        if found := self._pending(delivery):
            durable, stored = found
            del durable.pending[stored.message.sequence]
            durable.wake()  # there is room for one more
            if streams.BY_NAME[durable.consumer.stream].retention == "workqueue":
                self._forget(durable.consumer.stream, stored.message.sequence)

    async def nak(self, delivery: broker.Delivery, after_s: float = 0.0) -> None:
        await anyio.lowlevel.checkpoint()
        if found := self._pending(delivery):
            found[1].invisible_until = self._clock() + after_s
            found[0].wake()

    async def renew(self, delivery: broker.Delivery) -> None:
        await anyio.lowlevel.checkpoint()
        if found := self._pending(delivery):
            found[1].invisible_until = self._clock() + found[0].consumer.ack_wait_s

    async def term(self, delivery: broker.Delivery, reason: str) -> None:
        await self.ack(delivery)

    async def changed(self, durable: _Durable) -> None:
        """Something came for a durable consumer, one of its leases or its pin ran out, or a plan is due."""
        due = [stored.invisible_until for stored in durable.pending.values()]
        due += [at for at, *_ in self._schedules]
        if durable.pinned and not durable.pinned.pulls:
            due.append(durable.pinned.until)
        # What is due already is not for whoever waits here, but for the one who is served.
        now = self._clock()
        waits = [at - now for at in due if at > now]
        with anyio.move_on_after(min(waits, default=PULL_S)):
            await durable.changed.wait()

    # -- the rest ----------------------------------------------------------------------------------------

    async def ensure(self) -> None:
        await anyio.lowlevel.checkpoint()

    def connected(self) -> bool:
        return True

    def now(self) -> float:
        return self._clock()

    def skew_s(self) -> float:
        return self._clock() - time.time()

    async def check_clock(self) -> None:
        await anyio.lowlevel.checkpoint()

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def close(self) -> None:
        self._subscriptions.clear()


class _Subscription:
    def __init__(self, forget: Callable[[], object]) -> None:
        self._forget = forget

    async def close(self) -> None:
        self._forget()


class _Puller:
    def __init__(self, source: Memory, durable: _Durable) -> None:
        self.pulls = 0
        """Open ones."""
        self.until = 0.0
        """When its pin runs out, unless it pulls."""
        self._memory = source
        self._durable = durable
        self._leader: broker.Puller | None = None
        self._stopping = False

    @property
    def active(self) -> bool | None:
        pinned = self._durable.pinned
        if pinned and not pinned.pulls and pinned.until <= self._memory.now():
            pinned = self._durable.pinned = None
        return pinned is self if pinned else None

    def follow(self, leader: broker.Puller) -> None:
        self._leader = leader

    async def next(self) -> broker.Delivery | None:
        self.pulls += 1
        try:
            with anyio.move_on_after(PULL_S):
                while not self._stopping:
                    if self._may_take() and (delivery := self._memory.take(self._durable)):
                        if self._durable.consumer.pinned:
                            self._durable.pinned = self
                        return delivery
                    await self._memory.changed(self._durable)
            return None
        finally:
            self.pulls -= 1
            self.until = self._memory.now() + limits.PIN_S
            if self._durable.pinned is self:
                self._durable.wake()  # it may run out now

    def _may_take(self) -> bool:
        if self._leader is not None and self._leader.active is False:
            self._release()
            return False
        return self.active is not False

    def _release(self) -> None:
        if self.active:
            self._durable.pinned = None

    async def stop(self) -> None:
        self._stopping = True
        self._release()
        self._durable.wake()
