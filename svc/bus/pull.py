"""Pulling single messages off a durable consumer, pinned or not, through the raw JetStream API.

nats-py's own `fetch` knows no priority groups, and a slot that prefetches would let `ack_wait` run out while
its messages wait. So: a slot asks for one message when it is free. All slots of a process share one inbox;
a delivered message shows the stream's subject, not the pull it answers, so it goes to whichever slot waits:
as many pulls are open as slots are waiting, and one is as good as another.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import msgspec
import nats.errors
from nats.aio import msg as nats_msg

from svc.bus import api, broker, errors, limits, pin, streams

if TYPE_CHECKING:
    from svc.bus import jetstream

log = logging.getLogger(__name__)

GRACE_S = 1.0
"""The server ends a pull itself; only when it stays silent this much longer do we stop waiting."""
PAUSE_S = 0.25
"""After an answer that says the consumer can't serve now (it moves, or is gone), or while not connected."""
DRAIN_S = 1.0
PIN_ID = "Nats-Pin-Id"
WRONG_PIN = "423"
NOTHING = {"408", "404"}


class _Sub(Protocol):
    async def drain(self) -> None: ...


class Puller:
    """Implements `broker.Puller`."""

    def __init__(self, jet: jetstream.JetStream, consumer: streams.Consumer) -> None:
        self._jet = jet
        self._consumer = consumer
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{consumer.stream}.{consumer.name}"
        self._expires_s = limits.PINNED_PULL_S if consumer.pinned else limits.PULL_S
        self._inbox = jet.nc.new_inbox()
        self._waiting: collections.deque[asyncio.Future[broker.Delivery | None]] = collections.deque()
        self._pin = pin.Pin(jet, consumer) if consumer.pinned else None
        self._leader: broker.Puller | None = None
        self._broken = False
        """The server said that it can't serve this consumer: it moves, or somebody deleted it."""
        self._stopping = False
        self._subscription: _Sub | None = None
        self._forget = jet.on_reconnect(self._wake)

    @classmethod
    async def start(cls, jet: jetstream.JetStream, consumer: streams.Consumer) -> Puller:
        puller = cls(jet, consumer)
        puller._subscription = await jet.nc.subscribe(puller._inbox, cb=puller._arrived)
        return puller

    @property
    def active(self) -> bool | None:
        return self._pin.active if self._pin else None

    def follow(self, leader: broker.Puller) -> None:
        self._leader = leader

    async def next(self) -> broker.Delivery | None:
        if self._broken:
            await self._mend()
        if self._stopping:
            return None
        if not self._jet.connected():
            # A pull that waits in the send buffer would take a message when nobody has a slot for it.
            await anyio.sleep(PAUSE_S)
            return None
        if self._pin is not None:
            await self._pin.look()
            if self._leader is not None and self._leader.active is False:
                await self._pin.release()
                await anyio.sleep(PAUSE_S)
                return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[broker.Delivery | None] = loop.create_future()
        self._waiting.append(future)
        timer = loop.call_later(self._expires_s + GRACE_S, _resolve, future, None)
        try:
            await self._jet.cast(self._subject, self._request(), reply=self._inbox)
            return await future
        finally:
            timer.cancel()
            with contextlib.suppress(ValueError):
                self._waiting.remove(future)

    async def _mend(self) -> None:
        """Wait a little, then make sure that stream and consumer are there."""
        self._broken = False
        await anyio.sleep(PAUSE_S)
        try:
            await self._jet.ensure()
            await streams.ensure_consumer(self._jet, self._consumer)
        except errors.BusError as error:
            log.warning("the consumer %s is away: %s", self._consumer.name, error)
            self._broken = True

    def _request(self) -> bytes:
        request: dict[str, Any] = {"batch": 1, "expires": int(self._expires_s * streams.NANO)}
        if self._pin is not None:
            request["group"] = streams.PIN_GROUP
            if self._pin.id:
                request["id"] = self._pin.id
        return msgspec.json.encode(request)

    async def _arrived(self, message: nats_msg.Msg) -> None:
        headers = message.headers or {}
        if not message.reply:  # what the server says itself; a header `Status` anybody can write
            status = headers.get("Status", "")
            if status == WRONG_PIN and self._pin is not None:
                self._pin.lost()
            elif status not in NOTHING:
                self._broken = True
            self._hand_out(None)
            return
        if self._pin is not None and (given := headers.get(PIN_ID)):
            self._pin.won(given)
        delivery = parse(message)
        if self._stopping or not self._hand_out(delivery):
            await self._jet.nak(delivery)

    def _hand_out(self, delivery: broker.Delivery | None) -> bool:
        """Give it to a slot that waits; False when none does."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(delivery)
                return True
        return False

    def _wake(self) -> None:
        """Every pull in flight died with the connection: ask again at once."""
        while self._hand_out(None):
            pass

    async def stop(self) -> None:
        self._stopping = True
        self._forget()
        self._wake()
        if self._subscription is not None and self._jet.nc.is_connected:
            # UNSUB, then wait for what the server had sent already: `_arrived` gives it back. Shielded, as
            # nats-py drops the connection when a flush is cancelled.
            # A frozen broker doesn't answer: it is not waited for.
            with (
                anyio.move_on_after(DRAIN_S, shield=True),
                contextlib.suppress(nats.errors.Error, TimeoutError),
            ):
                await self._subscription.drain()
            if self._pin is not None:
                await self._pin.release()


def _resolve(future: asyncio.Future[broker.Delivery | None], value: broker.Delivery | None) -> None:
    if not future.done():
        future.set_result(value)


def parse(message: nats_msg.Msg) -> broker.Delivery:
    """A delivered message with the counters of its reply subject."""
    stream, _, delivered, sequence, _, nanoseconds, _ = _metadata(message.reply)
    return broker.Delivery(
        message=api.Message(
            subject=message.subject,
            data=message.data,
            headers=message.headers or {},
            stream=stream,
            sequence=int(sequence),
            at=int(nanoseconds) / streams.NANO,
        ),
        deliveries=int(delivered),
        token=message.reply,
    )


def consumer_sequence(message: nats_msg.Msg) -> int:
    """Counts what this consumer delivered, without gaps."""
    return int(_metadata(message.reply)[4])


def pending(message: nats_msg.Msg) -> int:
    """Messages the consumer still has behind this one."""
    return int(_metadata(message.reply)[6])


def _metadata(reply: str) -> list[str]:
    """stream, consumer, delivered, stream sequence, consumer sequence, nanoseconds, pending of `$JS.ACK.…`.

    Newer servers may put domain and account before the stream.
    """
    tokens = reply.split(".")
    return tokens[2:9] if len(tokens) == 9 else tokens[4:11]
