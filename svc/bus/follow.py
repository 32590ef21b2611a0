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
ENDED = {"404", "408"}
"""The pull is over; whatever it had was sent."""


@contextlib.asynccontextmanager
async def following(
    jet: jetstream.JetStream, stream: str, patterns: tuple[str, ...], since: int
) -> AsyncIterator[AsyncIterator[api.Message]]:
    """See `api.Bus.follow`."""
    send, receive = anyio.create_memory_object_stream[api.Message](BUFFER)
    start = since or await _last_sequence(jet, stream)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_pump, jet, stream, patterns, start, send)
        try:
            yield receive
        finally:
            tasks.cancel_scope.cancel()
            receive.close()


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
        except (errors.BusError, streams.ApiError) as error:
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
    name = await _ephemeral(jet, stream, patterns, sequence)
    arrived_send, arrived = anyio.create_memory_object_stream[nats_msg.Msg](BUFFER)
    inbox = jet.nc.new_inbox()
    subscription = await jet.nc.subscribe(inbox, cb=arrived_send.send)
    expected = 0
    try:
        while True:
            body = msgspec.json.encode({"batch": BATCH, "expires": int(limits.PULL_S * streams.NANO)})
            await jet.cast(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}", body, reply=inbox)
            for _ in range(BATCH):
                with anyio.move_on_after(limits.PULL_S + pull.GRACE_S):
                    message = await arrived.receive()
                    if status := (message.headers or {}).get("Status"):
                        if status not in ENDED:
                            return sequence
                        break
                    delivery = pull.parse(message)
                    expected += 1
                    if pull.consumer_sequence(message) != expected:
                        return sequence
                    await send.send(delivery.message)
                    sequence = delivery.message.sequence
                    continue
                return sequence
    finally:
        with anyio.CancelScope(shield=True), contextlib.suppress(Exception):
            await subscription.unsubscribe()


async def _ephemeral(jet: jetstream.JetStream, stream: str, patterns: tuple[str, ...], sequence: int) -> str:
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
    return str(answer["name"])
