"""Following a stream: every stored message in order and without gaps, across reconnects and restarts.

An ephemeral consumer without acks is pulled in batches; whenever anything about it is off (it vanished, a
number is missing, the connection was lost) it is made anew behind the last message that was handed out.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import anyio
import msgspec
import nats.errors
from anyio.streams import memory
from nats.aio import msg as nats_msg

from svc.bus import api, errors, limits, pull, streams

if TYPE_CHECKING:
    from svc.bus import jetstream

log = logging.getLogger(__name__)

BATCH = 256
BUFFER = 1024
IDLE_S = 30.0
"""The server removes a consumer nobody pulled for this long."""
PAUSE_S = 0.5
SCAN_TRIES = 10
"""Times in a row that a scan may break off without having read anything."""
ENDED = {"404", "408"}
"""The pull is over; whatever it had was sent."""
GONE = "gone"


@contextlib.asynccontextmanager
async def following(
    jet: jetstream.JetStream, stream: str, patterns: tuple[str, ...], since: int
) -> AsyncIterator[AsyncIterator[api.Message]]:
    """See `api.Bus.follow`."""
    send, receive = anyio.create_memory_object_stream[api.Message](BUFFER)
    start = max(0, since)
    if since == api.NOW or since < api.FIRST:
        start = max(0, await _last_sequence(jet, stream) + since)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, jet, stream, patterns, start, send)
            try:
                yield receive
            finally:
                tasks.cancel_scope.cancel()
                receive.close()
                send.close()
    except BaseExceptionGroup as group:
        # What the block raised is the caller's, not a group's.
        if len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


async def scan(
    jet: jetstream.JetStream, stream: str, patterns: tuple[str, ...]
) -> AsyncIterator[api.Message]:
    """See `api.Bus.scan`. Raises NotAccepted when the stream can't be read to its end."""
    sequence, tries = 0, 0
    while tries < SCAN_TRIES:
        tries += 1
        name, pending = await _ephemeral(jet, stream, patterns, sequence)
        try:
            if not pending:
                return
            async with _inbox(jet) as (inbox, arrived):
                expected = 0
                async for message in _batches(jet, stream, name, inbox, arrived, wait=False):
                    expected += 1
                    if message is None or pull.consumer_sequence(message) != expected:
                        break
                    delivery = pull.parse(message)
                    yield delivery.message
                    sequence, tries = delivery.message.sequence, 0
                    if not pull.pending(message):
                        return
                else:
                    return
        finally:
            with anyio.CancelScope(shield=True), contextlib.suppress(errors.BusError):
                await jet.administer(f"CONSUMER.DELETE.{stream}.{name}", {})
        await anyio.sleep(PAUSE_S)
    raise errors.NotAccepted(f"the stream {stream} can't be read to its end right now")


async def _last_sequence(jet: jetstream.JetStream, stream: str) -> int:
    info = await jet.administer(f"STREAM.INFO.{stream}", {})
    return int(info["state"]["last_seq"])


async def _pump(
    jet: jetstream.JetStream,
    stream: str,
    patterns: tuple[str, ...],
    sequence: int,
    send: memory.MemoryObjectSendStream[api.Message],
) -> None:
    while True:
        try:
            sequence = await _consume(jet, stream, patterns, sequence, send)
        except errors.BusError as error:
            log.info("following %s again: %s", stream, error)
        await anyio.sleep(PAUSE_S)


async def _consume(
    jet: jetstream.JetStream,
    stream: str,
    patterns: tuple[str, ...],
    sequence: int,
    send: memory.MemoryObjectSendStream[api.Message],
) -> int:
    """Hand out messages until something is off; returns the last sequence handed out."""
    name, _ = await _ephemeral(jet, stream, patterns, sequence)
    expected = 0
    async with _inbox(jet) as (inbox, arrived):
        async for message in _batches(jet, stream, name, inbox, arrived):
            expected += 1
            if message is None or pull.consumer_sequence(message) != expected:
                break
            delivery = pull.parse(message)
            await send.send(delivery.message)
            sequence = delivery.message.sequence
    return sequence


Arrived = memory.MemoryObjectReceiveStream[nats_msg.Msg | None]


@contextlib.asynccontextmanager
async def _inbox(jet: jetstream.JetStream) -> AsyncIterator[tuple[str, Arrived]]:
    """What is sent to an inbox of ours, and None for every time the connection was away."""
    send, receive = anyio.create_memory_object_stream[nats_msg.Msg | None](2 * BATCH)

    def away() -> None:
        # Full: then there is enough to read, and what is missing behind it will be missed soon.
        with contextlib.suppress(anyio.WouldBlock):
            send.send_nowait(None)

    inbox = jet.nc.new_inbox()
    subscription = await jet.nc.subscribe(inbox, cb=send.send)
    forget = jet.on_reconnect(away)
    try:
        yield inbox, receive
    finally:
        forget()
        with anyio.CancelScope(shield=True), contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
        receive.close()
        send.close()


async def _batches(
    jet: jetstream.JetStream, stream: str, name: str, inbox: str, arrived: Arrived, *, wait: bool = True
) -> AsyncIterator[nats_msg.Msg | None]:
    """Pull batch after batch; None when the consumer is gone or silent for too long, or the connection was.

    Without `wait` it ends once the consumer has nothing more.
    """
    until = {"expires": int(limits.PULL_S * streams.NANO)} if wait else {"no_wait": True}
    body = msgspec.json.encode({"batch": BATCH, **until})
    while True:
        await jet.cast(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", body, reply=inbox)
        for _ in range(BATCH):
            message = None
            with anyio.move_on_after(limits.PULL_S + pull.GRACE_S):
                message = await arrived.receive()
            status = _status(message) if message else GONE
            if status in ENDED:
                if not wait:
                    return
                break
            if status:
                yield None
                return
            yield message


def _status(message: nats_msg.Msg) -> str:
    """What the server says itself. A stored message may have such a header too, but can be acked."""
    return "" if message.reply else (message.headers or {}).get("Status", GONE)


async def _ephemeral(
    jet: jetstream.JetStream, stream: str, patterns: tuple[str, ...], sequence: int
) -> tuple[str, int]:
    """A consumer that starts behind `sequence`: its name, and how many messages it has."""
    config: dict[str, Any] = {
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": sequence + 1,
        "ack_policy": "none",
        "replay_policy": "instant",
        "filter_subjects": list(patterns),
        "inactive_threshold": int(IDLE_S * streams.NANO),
        "mem_storage": True,
        "num_replicas": 1,
    }
    answer = await jet.administer(f"CONSUMER.CREATE.{stream}", {"stream_name": stream, "config": config})
    return str(answer["name"]), int(answer.get("num_pending", 0))
