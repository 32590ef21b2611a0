"""What this process works on, and for how long it may: leases renewed by progress, and lost without it."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable

import anyio

from svc.bus import broker, job, limits, streams

log = logging.getLogger(__name__)


@dataclasses.dataclass(eq=False, slots=True)
class Lease:
    """On one message, held by the handler that works on it."""

    delivery: broker.Delivery
    """The newest: the broker wants its token back."""
    job: job.Job
    consumer: streams.Consumer
    stall_s: float
    """The longest that its handler may be without progress."""
    due_at: float
    """When its handler is cancelled, by the monotonic clock: the other may jump."""
    renewed_at: float
    scope: anyio.CancelScope = dataclasses.field(default_factory=anyio.CancelScope)
    """Cancelled when the message is no longer ours."""

    @property
    def key(self) -> tuple[str, int]:
        return self.consumer.name, self.delivery.message.sequence

    @property
    def lost(self) -> bool:
        """Whether there is nothing to ack or to give back any more."""
        return self.scope.cancelled_caught

    def moves(self, now: float) -> bool:
        return now - self.job.progressed_at < self.stall_s

    def hangs(self, now: float) -> str:
        """Why this is no honest wait; "" = it may be one."""
        of = self.job.subject
        if not self.moves(now):
            silent_s = now - self.job.progressed_at
            return f"{of.a}.{of.b} of {of.turn} has made no progress for {silent_s:.0f} s"
        if now - self.due_at > limits.OVERDUE_S:
            return f"{of.a}.{of.b} of {of.turn} has not ended {now - self.due_at:.0f} s after its deadline"
        return ""


class Leases:
    """All of one process."""

    def __init__(self, source: broker.Broker) -> None:
        self._broker = source
        self._held: dict[tuple[str, int], Lease] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def again(self, delivery: broker.Delivery, consumer: streams.Consumer) -> bool:
        """Whether this message is worked on here already: its lease ran out, and the queue handed it out
        again, to the one who has it. It is not done twice."""
        lease = self._held.get((consumer.name, delivery.message.sequence))
        if lease is not None:
            lease.delivery = delivery
        return lease is not None

    def begin(
        self, delivery: broker.Delivery, circumstances: job.Job, consumer: streams.Consumer, stall_s: float
    ) -> Lease:
        now = time.monotonic()
        due_at = now + max(0.0, circumstances.left_s())
        lease = Lease(delivery, circumstances, consumer, stall_s, due_at, now)
        self._held[lease.key] = lease
        return lease

    def end(self, lease: Lease) -> None:
        if self._held.get(lease.key) is lease:
            del self._held[lease.key]

    async def keep(self, on_hang: Callable[[str], None]) -> None:
        """Renew what moves on, until cancelled. A handler without progress loses its lease, although its
        process is alive; `on_hang` hears of those whose work no other process is given."""
        while True:
            slept_at = time.monotonic()
            await anyio.sleep(limits.HEARTBEAT_S)
            now = time.monotonic()
            self._drop_lost(now, now - slept_at)
            for lease in tuple(self._held.values()):
                if lease.moves(now):
                    lease.renewed_at = now
                    await self._broker.renew(lease.delivery)
                if lease.consumer.pinned and (why := lease.hangs(now)):
                    on_hang(why)

    def _drop_lost(self, now: float, slept_s: float) -> None:
        """After a stop of the whole process: what only one process at a time works on is another's by now.

        Nothing is given back: it is not ours to give. If there is no other, it comes again.
        """
        for lease in tuple(self._held.values()):
            lease_s = lease.consumer.ack_wait_s
            if lease.consumer.pinned and slept_s > lease_s and now - lease.renewed_at > lease_s:
                log.warning("dropped %s: this process stood still for %.1f s", lease.key, slept_s)
                self.end(lease)
                lease.scope.cancel()

    def hanging(self) -> tuple[str, ...]:
        """What health has to say about them."""
        now = time.monotonic()
        return tuple(why for lease in self._held.values() if (why := lease.hangs(now)))

    async def give_back_hanging(self) -> None:
        """Whoever is cancelled gives its message back itself; those who hang don't."""
        now = time.monotonic()
        for lease in tuple(self._held.values()):
            if lease.hangs(now):
                await self._broker.nak(lease.delivery)
