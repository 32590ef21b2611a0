"""Serving: one worker loop per slot, leases renewed by progress, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import re
import time
from collections.abc import Callable

import anyio

from svc.bus import (
    broker,
    connection,
    errors,
    job,
    limits,
    middleware,
    service,
    status,
    streams,
    subjects,
    suspect,
    trace,
)

log = logging.getLogger(__name__)

IDLE_PULLS = 2
"""Pulls a queue group member keeps open: two hide the round trip, more only cost idle processor time."""
MILLISECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
RESTORE_S = 1.0
"""A delivery whose reply could not be stored comes back after this."""


@dataclasses.dataclass(eq=False, slots=True)
class _Running:
    """One message that a handler works on."""

    delivery: broker.Delivery
    """The newest: the broker wants its token back."""
    job: job.Job
    consumer: streams.Consumer
    leased_at: float = dataclasses.field(default_factory=time.monotonic)
    """When the lease was given or renewed."""
    scope: anyio.CancelScope = dataclasses.field(default_factory=anyio.CancelScope)
    """Cancelled when the message is no longer ours."""


class Server:
    """Works off everything one service answers and listens to."""

    def __init__(self, bus: connection.Connection, served: service.Service) -> None:
        self._bus = bus
        self._broker = bus.broker
        self._service = served
        self._tallies: dict[str, status.Tally] = {}
        self._running: dict[tuple[str, int], _Running] = {}
        """What this process works on, by consumer and sequence."""
        self._chains: dict[str, dict[str, middleware.Work[None]]] = {}
        self._slots: dict[str, int] = {}
        self._pullers: dict[str, broker.Puller] = {}
        self._stopping = False
        self._idle = anyio.Event()
        for answer in served.answers:
            consumer = streams.consumer_of(served.name, answer.method).name
            chain = middleware.chain_for_answer(
                self._broker, bus.instance, answer, self._tally(answer.method)
            )
            self._add(consumer, f"req.{served.name}.{answer.method}", chain, answer.slots)
        suspects = suspect.Suspects(self._broker, bus.instance)
        for listen in served.listens:
            tally = self._tally(listen.subject)
            chain = middleware.chain_for_listen(self._broker, suspects, listen, tally)
            self._add(listen.consumer, listen.subject, chain, listen.slots)

    def _tally(self, name: str) -> status.Tally:
        return self._tallies.setdefault(name, status.Tally())

    def _add(self, consumer: str, prefix: str, chain: middleware.Work[None], slots: int) -> None:
        self._chains.setdefault(consumer, {})[prefix] = chain
        self._slots[consumer] = max(slots, self._slots.get(consumer, 0))

    async def run(self, stop: anyio.Event, ready: Callable[[], None]) -> None:
        """Serve until `stop` is set: stop taking, let handlers finish, give back what is left.

        `ready` is called once every consumer is being pulled.
        """
        await self._broker.check_clock()  # before the first deadline is looked at
        responder = status.Responder(
            self._broker, self._bus.instance, self._service, self._tallies, self._pinned
        )
        async with responder.answering(), anyio.create_task_group() as tasks:
            for name in self._chains:
                consumer = streams.consumer(name)
                # A pinned process whose pulls are all busy looks dead to the server: one slot to spare.
                slots = self._slots[name] + (1 if consumer.pinned else 0)
                puller = self._pullers[name] = await self._broker.puller(consumer)
                if leader := self._pullers.get(consumer.follows):
                    puller.follow(leader)
                permits = asyncio.Semaphore(IDLE_PULLS)
                for _ in range(slots):
                    tasks.start_soon(self._loop, puller, permits, consumer)
            tasks.start_soon(self._renew_leases)
            tasks.start_soon(self._check_clock)
            ready()
            await stop.wait()
            self._stopping = True
            async with anyio.create_task_group() as stopping:
                for puller in self._pullers.values():
                    stopping.start_soon(puller.stop)
            with anyio.move_on_after(limits.STOP_S):
                if self._running:
                    await self._idle.wait()
            tasks.cancel_scope.cancel()

    def _pinned(self, consumer: str) -> bool | None:
        """Whether this process is the one that works off a pinned consumer; None: nobody is yet."""
        return self._pullers[consumer].active if consumer in self._pullers else None

    async def _loop(
        self,
        puller: broker.Puller,
        permits: asyncio.Semaphore,
        consumer: streams.Consumer,
    ) -> None:
        while not self._stopping:
            async with permits:
                delivery = await puller.next()
            if delivery is not None:
                await self._work(delivery, consumer)

    async def _work(self, delivery: broker.Delivery, consumer: streams.Consumer) -> None:
        message, chains = delivery.message, self._chains[consumer.name]
        key = (consumer.name, message.sequence)
        if (running := self._running.get(key)) is not None:
            # The lease was lost, and the queue gave the message to the one who works on it already.
            running.delivery = delivery
            return
        try:
            subject = subjects.parse(message.subject)
            chain = chains[_prefix(subject, chains)]
        except (ValueError, KeyError) as error:
            await self._give_up(delivery, error, "nobody handles this subject")
            return
        circumstances = self._job(delivery, subject, consumer)
        running = self._running[key] = _Running(delivery, circumstances, consumer)
        try:
            with trace.active(circumstances.traceparent), running.scope:
                await chain(delivery, circumstances)
        except errors.Retry as retry:
            await self._broker.nak(running.delivery, retry.after_s)
        except errors.BusError as error:
            log.warning("%s comes back: %s", message.subject, error)
            await self._broker.nak(running.delivery, RESTORE_S)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._broker.nak(running.delivery)
            raise
        except Exception as error:
            # Only a mistake of ours gets here, and even that must not end the process for one message.
            await self._give_up(running.delivery, error, "it broke what is around its handler")
        else:
            if not running.scope.cancelled_caught:
                await self._broker.ack(running.delivery)
        finally:
            if self._running.get(key) is running:
                del self._running[key]
            if self._stopping and not self._running:
                self._idle.set()

    async def _give_up(self, delivery: broker.Delivery, error: Exception, why: str) -> None:
        with contextlib.suppress(errors.BusError):  # not buried = not acked: it comes back
            await middleware.bury(self._broker, delivery, error)
            await self._broker.term(delivery, why)

    def _job(
        self, delivery: broker.Delivery, subject: subjects.Subject, consumer: streams.Consumer
    ) -> job.Job:
        message = delivery.message
        given, now = message.headers.get(broker.DEADLINE, ""), self._broker.now()
        known = MILLISECONDS.fullmatch(given)
        deadline = message.at + int(given) / 1000 if known else now + limits.HANDLE_S
        deadline = min(deadline, now + limits.WORK_AGE_S)
        return job.Job(
            bus=self._bus,
            subject=subject,
            deadline=deadline,
            stored_at=message.at,
            sequence=message.first_sequence,
            first_at=message.first_at,
            deliveries=delivery.deliveries,
            deliveries_max=consumer.deliveries_max,
            repeated=broker.REPEATED in message.headers,
            now=self._broker.now,
            traceparent=trace.given(message.headers) or trace.of_turn(subject.turn),
        )

    async def _check_clock(self) -> None:
        while True:
            await anyio.sleep(limits.CLOCK_CHECK_S)
            await self._broker.check_clock()

    async def _renew_leases(self) -> None:
        """Renew what moves on. A handler without progress loses its lease although its process is alive."""
        while True:
            slept_at = time.monotonic()
            await anyio.sleep(limits.HEARTBEAT_S)
            now = time.monotonic()
            self._drop_lost(now, now - slept_at)
            for running in tuple(self._running.values()):
                if now - running.job.progressed_at < limits.STALL_S:
                    running.leased_at = now
                    await self._broker.renew(running.delivery)

    def _drop_lost(self, now: float, slept_s: float) -> None:
        """After a stop of the whole process: what only one process at a time works on is another's by now.

        Nothing is given back: it is not ours to give. If there is no other, it comes again.
        """
        for key, running in tuple(self._running.items()):
            lease_s = running.consumer.ack_wait_s
            if running.consumer.pinned and slept_s > lease_s and now - running.leased_at > lease_s:
                log.warning("dropped %s: this process stood still for %.1f s", key, slept_s)
                del self._running[key]
                running.scope.cancel()


def _prefix(subject: subjects.Subject, chains: dict[str, middleware.Work[None]]) -> str:
    """The longest registered prefix of a subject: three tokens, or two. Raises KeyError."""
    three = f"{subject.kind}.{subject.a}.{subject.b}"
    two = f"{subject.kind}.{subject.a}"
    if three in chains:
        return three
    if two in chains:
        return two
    raise KeyError(f"no handler for {three}")
