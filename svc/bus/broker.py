"""What the bus needs of a message broker: a few primitives, implemented by `jetstream` and by `memory`.

Everything that makes a turn durable (recorded calls, leases, worker loops) is written once on top of these,
so the contract suite can run it against both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from svc.bus import api, limits, streams
from svc.wire import status

EXPECT = "Nats-Expected-Last-Subject-Sequence"
"""Header of once-per-subject: 0 = this subject has never been written."""
SCHEDULE = "Nats-Schedule"
SCHEDULE_TARGET = "Nats-Schedule-Target"
REPEATED = "Quahog-Repeated"
"""On a request that was published before: whoever takes it looks into the record first."""
DEADLINE = "Quahog-Deadline-Ms"
"""Milliseconds left for the work, counted from the message's store time."""
TRACEPARENT = "traceparent"


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    """A stored message handed to this process to work on."""

    message: api.Message
    deliveries: int
    """1 the first time."""
    token: str
    """What the broker wants back in an ack."""


Callback = Callable[[api.Message, str], None]
"""Called with a message and its reply subject ("" = none), in order, on the loop; must be quick."""


class Subscription(Protocol):
    async def close(self) -> None: ...


class Puller(Protocol):
    """Takes single messages of one consumer; several slots may wait at once."""

    @property
    def active(self) -> bool | None:
        """Of a pinned consumer: whether it is this process that is served. None: nobody is, or all are."""
        ...

    def follow(self, leader: Puller) -> None:
        """Take nothing while another process than this is served by `leader`."""
        ...

    async def next(self) -> Delivery | None:
        """The next message, or None after a few seconds without one."""
        ...

    async def stop(self) -> None:
        """Take no more. What still arrives goes straight back to the queue."""
        ...


class Broker(Protocol):
    async def append(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        expect: int | None = 0,
        within_s: float = limits.APPEND_S,
    ) -> int:
        """Store a message if the last one of its subject has sequence `expect` (0 = none; None = whatever).

        Tries for `within_s`. Returns its sequence. Raises AlreadyRecorded, Overloaded, NotAccepted.
        """
        ...

    async def last(self, subject: str) -> api.Message | None:
        """The last stored message of exactly this subject."""
        ...

    async def latest(self, stream: str, patterns: Sequence[str]) -> list[api.Message]:
        """The last message of every subject that matches, in one request, in stream order."""
        ...

    async def read(self, stream: str, sequence: int) -> api.Message | None:
        """The message in that place of a stream."""
        ...

    async def queue(self, stream: str) -> status.Queue:
        """What a work queue holds. Raises NotAccepted."""
        ...

    async def delete(self, stream: str, sequence: int) -> bool:
        """Remove one stored message for good; False when it isn't there (any more). Raises NotAccepted."""
        ...

    async def depth(self, stream: str) -> int:
        """Messages a stream holds; of a work queue: waiting, or being worked on."""
        ...

    async def cast(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send without storing."""
        ...

    async def subscribe(self, pattern: str, callback: Callback) -> Subscription:
        """Hear what is published under `pattern` from now on, stored or not."""
        ...

    async def puller(self, consumer: streams.Consumer) -> Puller:
        """Start taking messages of a durable consumer, creating it where needed."""
        ...

    def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int
    ) -> AbstractAsyncContextManager[AsyncIterator[api.Message]]:
        """See `api.Bus.follow`."""
        ...

    def scan(self, stream: str, patterns: tuple[str, ...]) -> AsyncIterator[api.Message]:
        """See `api.Bus.scan`."""
        ...

    async def ack(self, delivery: Delivery) -> None: ...

    async def nak(self, delivery: Delivery, after_s: float = 0.0) -> None:
        """Give it back, to be delivered again after that long."""
        ...

    async def renew(self, delivery: Delivery) -> None:
        """Start the lease anew."""
        ...

    async def term(self, delivery: Delivery, reason: str) -> None:
        """Never deliver it again."""
        ...

    async def ensure(self) -> None:
        """Create streams. Raises ConfigError where the server lacks a feature."""
        ...

    def connected(self) -> bool: ...

    def now(self) -> float:
        """Unix seconds by the broker's clock, as well as it is known here: what all processes agree on."""
        ...

    def skew_s(self) -> float:
        """How far the broker's clock is ahead of this machine's; negative = behind, 0 = not measured yet."""
        ...

    async def check_clock(self) -> None:
        """Measure that again. Keeps what it was where the broker doesn't answer at once."""
        ...

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back after every reconnect. Returns what takes that back."""
        ...

    async def close(self) -> None: ...
