"""Serving: one worker loop per slot, leases renewed by progress, and a stop that loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable

import anyio

from svc.bus import (
    broker,
    connection,
    errors,
    job,
    lease,
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


class Server:
    """Works off everything one service answers and listens to.

    `broken` is called once, with the reason, when a handler hangs that only this process is given work for:
    it should set `stop`, and end the process even if that handler never ends.
    """

    def __init__(
        self, bus: connection.Connection, served: service.Service, broken: Callable[[str], None] | None = None
    ) -> None:
        self._bus = bus
        self._broker = bus.broker
        self._service = served
        self._tallies: dict[str, status.Tally] = {}
        self._broken = broken
        self._leases = lease.Leases(bus.broker)
        self._stalls: dict[str, float] = {}
        """Prefix of a subject -> how long its handler may be without progress."""
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
            self._add(consumer, f"req.{served.name}.{answer.method}", chain, answer.slots, answer.stall_s)
        suspects = suspect.Suspects(self._broker, bus.instance)
        for listen in served.listens:
            tally = self._tally(listen.subject)
            chain = middleware.chain_for_listen(self._broker, suspects, listen, tally)
            self._add(listen.consumer, listen.subject, chain, listen.slots, limits.STALL_S)

    def _tally(self, name: str) -> status.Tally:
        return self._tallies.setdefault(name, status.Tally())

    def _add(
        self, consumer: str, prefix: str, chain: middleware.Work[None], slots: int, stall_s: float
    ) -> None:
        self._chains.setdefault(consumer, {})[prefix] = chain
        self._stalls[prefix] = stall_s
        self._slots[consumer] = max(slots, self._slots.get(consumer, 0))

    async def run(self, stop: anyio.Event, ready: Callable[[], None]) -> None:
        """Serve until `stop` is set: stop taking, let handlers finish, give back what is left.

        `ready` is called once every consumer is being pulled.
        """
        await self._broker.check_clock()  # before the first deadline is looked at
        responder = status.Responder(
            self._broker,
            self._bus.instance,
            self._service,
            self._tallies,
            self._pinned,
            self._leases.hanging,
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
            tasks.start_soon(self._leases.keep, self._hangs)
            tasks.start_soon(self._check_clock)
            ready()
            await stop.wait()
            self._stopping = True
            async with anyio.create_task_group() as stopping:
                for puller in self._pullers.values():
                    stopping.start_soon(puller.stop)
            await self._leases.give_back_hanging()
            with anyio.move_on_after(limits.STOP_S):
                if self._leases:
                    await self._idle.wait()
            tasks.cancel_scope.cancel()

    def _hangs(self, why: str) -> None:
        """It keeps its pin, so nobody else is given the work: only ending the process frees it."""
        if self._broken is not None and not self._stopping:
            broken, self._broken = self._broken, None
            broken(why)

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
        if self._leases.again(delivery, consumer):
            return
        try:
            subject = subjects.parse(message.subject)
            prefix = _prefix(subject, chains)
        except (ValueError, KeyError) as error:
            await self._give_up(delivery, error, "nobody handles this subject")
            return
        circumstances = self._job(delivery, subject, consumer)
        held = self._leases.begin(delivery, circumstances, consumer, self._stalls[prefix])
        try:
            with trace.active(circumstances.traceparent), held.scope:
                await chains[prefix](delivery, circumstances)
        except errors.Retry as retry:
            await self._broker.nak(held.delivery, retry.after_s)
        except errors.BusError as error:
            log.warning("%s comes back: %s", message.subject, error)
            await self._broker.nak(held.delivery, RESTORE_S)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._broker.nak(held.delivery)
            raise
        except Exception as error:
            # Only a mistake of ours gets here, and even that must not end the process for one message.
            await self._give_up(held.delivery, error, "it broke what is around its handler")
        else:
            if not held.lost:
                await self._broker.ack(held.delivery)
        finally:
            self._leases.end(held)
            if self._stopping and not self._leases:
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


def _prefix(subject: subjects.Subject, chains: dict[str, middleware.Work[None]]) -> str:
    """The longest registered prefix of a subject: three tokens, or two. Raises KeyError."""
    three = f"{subject.kind}.{subject.a}.{subject.b}"
    two = f"{subject.kind}.{subject.a}"
    if three in chains:
        return three
    if two in chains:
        return two
    raise KeyError(f"no handler for {three}")
