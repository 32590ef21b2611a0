"""The broker on NATS JetStream: with `pull` and `follow`, the only code that imports nats.

The traps this file steps round are written beside the line that does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import anyio
import msgspec
import nats
import nats.errors
from nats.aio import msg as nats_msg

from svc.bus import api, broker, errors, follow, limits, pull, streams, tolerant
from svc.wire import status

log = logging.getLogger(__name__)

CONNECT_S = 2
FIRST_CONNECT_S = 3.0
RECONNECT_WAIT_S = 0.2
PING_S = 20
PENDING_BYTES = 8 * limits.MIB
"""Buffered while disconnected. Harmless whenever it is sent: what is stored is stored once per subject."""
RETRY_BASE_S, RETRY_MAX_S = 0.05, 1.0
API_S = 10.0
"""One request to the JetStream API: creating a stream waits for the disk."""

CLOCK = "$JS.API.STREAM.INFO.DEAD"
"""Its answer says when it was given; any stream would do."""
CLOCK_SAMPLES, CLOCK_S = 3, 0.5
"""A slower answer says nothing about the clock that matters."""

WRONG_LAST_SEQUENCE = 10071
QUEUE_FULL = {10077, 10047}
"""Maximum messages or bytes exceeded (discard=new); insufficient resources."""
NOT_THERE = {10043, 10057}
"""What a deletion says of a sequence that was deleted before, or never was."""
BAD_REQUEST, SERVER_TROUBLE = 400, 500
"""A 4xx says no for good; a 5xx may pass."""
SEQUENCE = "Nats-Sequence"
"""The server's mark on all it reads from a stream. A stored message may have a header `Status` itself."""
NO_MESSAGE, END_OF_BATCH = "404", "204"
COMPLETE = {NO_MESSAGE, END_OF_BATCH}
"""Statuses after which a batch is known to be whole."""


class _Told(msgspec.Struct):
    """Any answer of the API, as far as its clock goes."""

    ts: str = ""


class _ApiError(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _PubAck(msgspec.Struct):
    seq: int = 0
    error: _ApiError | None = None


_decode_ack = msgspec.json.Decoder(_PubAck).decode


async def connect(url: str, name: str, *, wait_s: float = 30.0) -> JetStream:
    """Connect, waiting up to `wait_s` for the broker to be there. Raises NotAccepted when it isn't."""
    connection = JetStream(url)
    deadline = time.monotonic() + wait_s
    reason = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            # With endless reconnects nats-py also tries the first connect for ever.
            with anyio.fail_after(min(left, FIRST_CONNECT_S)):
                await connection.open(name)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            reason = str(error) or reason
            await connection.close()
            await anyio.sleep(RECONNECT_WAIT_S)
        else:
            return connection
    raise errors.NotAccepted(
        f"no NATS server at {url} ({reason}): start one with `quahog up`, or set QUAHOG_NATS_URL"
    )


class JetStream:
    """One connection. Implements `broker.Broker`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.nc = tolerant.Client()
        self._reconnected: list[Callable[[], None]] = []
        self._skew_s = 0.0
        self._closing = False

    async def open(self, name: str) -> None:
        self._closing = False
        self.nc = tolerant.Client()
        await self.nc.connect(
            servers=[self.url],
            name=name,
            allow_reconnect=True,
            max_reconnect_attempts=-1,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # any number works
            connect_timeout=CONNECT_S,
            ping_interval=PING_S,
            max_outstanding_pings=2,
            pending_size=PENDING_BYTES,
            flusher_queue_size=4096,
            # Each must be tiny and must not raise: one that raises stops reconnecting.
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnect,
            reconnected_cb=self._on_reconnect,
            closed_cb=self._on_close,
        )

    async def _on_error(self, error: Exception) -> None:
        # A missing permission shows up only here; at the caller it is a timeout. Failed attempts to reconnect
        # come here too, five a second: that the connection is lost was said once.
        level = logging.ERROR if self.nc.is_connected else logging.DEBUG
        log.log(level, "NATS: %s", error)

    async def _on_disconnect(self) -> None:
        if not self._closing:
            log.warning("NATS connection lost; reconnecting")

    async def _on_reconnect(self) -> None:
        log.warning("NATS connection is back")
        for callback in tuple(self._reconnected):
            callback()

    async def _on_close(self) -> None:
        log.debug("NATS connection closed")

    def connected(self) -> bool:
        return self.nc.is_connected

    def now(self) -> float:
        return time.time() + self._skew_s

    def skew_s(self) -> float:
        return self._skew_s

    async def check_clock(self) -> None:
        """Half of the round trip is the most that this can be wrong; the shortest of several counts."""
        found: list[tuple[float, float]] = []
        for _ in range(CLOCK_SAMPLES):
            asked = time.time()
            try:
                answer = await self.nc.request(CLOCK, b"", timeout=CLOCK_S)
                told = timestamp(msgspec.json.decode(answer.data, type=_Told).ts)
            except (nats.errors.Error, OSError, ValueError, msgspec.MsgspecError):
                continue
            took_s = time.time() - asked
            if told and 0 <= took_s <= CLOCK_S:
                found.append((took_s, told - asked - took_s / 2))
        if found:
            self._skew_s = min(found)[1]

    def on_reconnect(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._reconnected.append(callback)
        return lambda: self._reconnected.remove(callback)

    # -- storing ---------------------------------------------------------------------------------------

    async def append(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        expect: int | None = 0,
        within_s: float = limits.APPEND_S,
    ) -> int:
        if len(data) > limits.BODY_BYTES_MAX:
            raise errors.NotAccepted(f"{subject}: {len(data)} bytes is more than {limits.BODY_BYTES_MAX}")
        sent = dict(headers)
        if expect is not None:
            sent[broker.EXPECT] = str(expect)
        deadline, delay, reason = time.monotonic() + within_s, RETRY_BASE_S, "not connected"
        while True:
            # What is published while disconnected would be stored later, when nobody waits for it any more.
            left = deadline - time.monotonic()
            if self.nc.is_connected and left > 0:
                try:
                    timeout = min(limits.APPEND_TRY_S, left)
                    answer = await self.nc.request(subject, data, timeout=timeout, headers=sent)
                except (nats.errors.Error, OSError) as error:
                    # No responders during a restart, a timeout, a lost connection: only the PubAck counts.
                    reason = str(error) or type(error).__name__
                else:
                    ack = _decode_ack(answer.data)
                    if ack.error is None:
                        return ack.seq
                    reason = _raise_final(ack.error, subject)
            if time.monotonic() + delay > deadline or self.nc.is_closed:
                raise errors.NotAccepted(f"{subject} was not stored: {reason}")
            await anyio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    # -- reading ---------------------------------------------------------------------------------------

    async def last(self, subject: str) -> api.Message | None:
        stream = streams.stream_of(subject)
        if stream is None:
            return None
        return await self._get(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"")

    async def read(self, stream: str, sequence: int) -> api.Message | None:
        return await self._get(f"$JS.API.DIRECT.GET.{stream}", msgspec.json.encode({"seq": sequence}))

    async def _get(self, subject: str, body: bytes) -> api.Message | None:
        answer = await self._request(subject, body)
        if SEQUENCE in (answer.headers or {}):
            return _stored(answer)
        if _status(answer) != NO_MESSAGE:
            raise errors.NotAccepted(f"{subject} can't be read: {_status(answer)}")
        return None

    async def latest(self, stream: str, patterns: Sequence[str]) -> list[api.Message]:
        body = msgspec.json.encode({"multi_last": list(patterns)})
        deadline, delay = time.monotonic() + API_S, RETRY_BASE_S
        while True:
            found = await self._batch(f"$JS.API.DIRECT.GET.{stream}", body)
            if found is not None:
                return sorted(found, key=lambda message: message.sequence)
            if time.monotonic() + delay > deadline or self.nc.is_closed:
                raise errors.NotAccepted(f"the stream {stream} can't be read right now")
            await anyio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    async def _batch(self, subject: str, body: bytes) -> list[api.Message] | None:
        """One batched direct get; None when it broke off or was refused: what came then is not everything."""
        found: list[api.Message] = []
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def arrived(message: nats_msg.Msg) -> None:
            if SEQUENCE in (message.headers or {}):
                found.append(_stored(message))
            elif not ended.done():
                ended.set_result(_status(message))

        inbox = self.nc.new_inbox()
        subscription = await self.nc.subscribe(inbox, cb=arrived)
        try:
            await self.cast(subject, body, reply=inbox)
            with anyio.move_on_after(limits.APPEND_TRY_S):
                return found if await ended in COMPLETE else None
            return None
        finally:
            with contextlib.suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def depth(self, stream: str) -> int:
        info = await self.administer(f"STREAM.INFO.{stream}", {})
        return int(info["state"]["messages"])

    def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int
    ) -> contextlib.AbstractAsyncContextManager[AsyncIterator[api.Message]]:
        return follow.following(self, stream, patterns, since)

    def scan(self, stream: str, patterns: tuple[str, ...]) -> AsyncIterator[api.Message]:
        return follow.scan(self, stream, patterns)

    async def queue(self, stream: str) -> status.Queue:
        consumers = (await self.administer(f"CONSUMER.LIST.{stream}", {})).get("consumers") or ()
        if not consumers:  # nobody has ever worked on it
            return status.Queue(waiting=await self.depth(stream))
        return status.Queue(
            waiting=sum(one["num_pending"] for one in consumers),
            working=sum(one["num_ack_pending"] for one in consumers),
        )

    async def delete(self, stream: str, sequence: int) -> bool:
        try:
            await self.administer(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence})
        except streams.ApiError as error:
            if error.code not in NOT_THERE:
                raise
            return False
        return True

    # -- core NATS ---------------------------------------------------------------------------------------

    async def cast(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        with contextlib.suppress(nats.errors.Error):
            await self.nc.publish(subject, data, reply=reply, headers=dict(headers) if headers else None)

    async def subscribe(self, pattern: str, callback: broker.Callback) -> broker.Subscription:
        async def arrived(message: nats_msg.Msg) -> None:
            callback(_heard(message), message.reply)

        return _Subscription(await self.nc.subscribe(pattern, cb=arrived))

    # -- working off ---------------------------------------------------------------------------------------

    async def puller(self, consumer: streams.Consumer) -> broker.Puller:
        await streams.ensure_consumer(self, consumer)
        return await pull.Puller.start(self, consumer)

    async def ack(self, delivery: broker.Delivery) -> None:
        await self.cast(delivery.token, b"+ACK")

    async def nak(self, delivery: broker.Delivery, after_s: float = 0.0) -> None:
        delay = {"delay": max(1, int(after_s * streams.NANO))}
        await self.cast(delivery.token, b"-NAK " + msgspec.json.encode(delay))

    async def renew(self, delivery: broker.Delivery) -> None:
        await self.cast(delivery.token, b"+WPI")

    async def term(self, delivery: broker.Delivery, reason: str) -> None:
        await self.cast(delivery.token, b"+TERM " + reason.encode())

    # -- administration ------------------------------------------------------------------------------------

    async def ensure(self) -> None:
        await streams.ensure(self)

    async def administer(self, endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self._request(f"$JS.API.{endpoint}", msgspec.json.encode(body))
        parsed: dict[str, Any] = msgspec.json.decode(answer.data)
        if error := parsed.get("error"):
            raise streams.ApiError(error.get("err_code", 0), error.get("description", ""))
        return parsed

    async def _request(self, subject: str, body: bytes) -> nats_msg.Msg:
        """A request to the server itself, asked again until it answers or `API_S` is over."""
        deadline, delay = time.monotonic() + API_S, RETRY_BASE_S
        while True:
            try:
                return await self.nc.request(subject, body, timeout=limits.APPEND_TRY_S)
            except (nats.errors.Error, OSError) as error:
                if time.monotonic() + delay > deadline or self.nc.is_closed:
                    raise errors.NotAccepted(f"JetStream does not answer on {subject}: {error}") from None
            await anyio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    async def close(self) -> None:
        """Send what is buffered, then close. `drain()` would break publishes of handlers still running."""
        self._closing = True
        # Shielded: nats-py drops the connection, with a traceback, when a flush is cancelled.
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                if self.nc.is_connected:
                    await self.nc.flush(timeout=2)
            # uvloop raises RuntimeError for writing to a transport whose other end is gone.
            with contextlib.suppress(nats.errors.Error, OSError, RuntimeError):
                await self.nc.close()


class _Subscription:
    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def close(self) -> None:
        with contextlib.suppress(nats.errors.Error):
            await self.inner.unsubscribe()


def _raise_final(error: _ApiError, subject: str) -> str:
    """Raise for an answer that no retry changes; else the reason, for the next try."""
    if error.err_code == WRONG_LAST_SEQUENCE:
        raise errors.AlreadyRecorded(subject)
    if error.err_code in QUEUE_FULL:
        raise errors.Overloaded(f"{subject}: the queue is full")
    if BAD_REQUEST <= error.code < SERVER_TROUBLE:
        raise errors.NotAccepted(f"{subject}: {error.description}")
    return error.description


def _heard(message: nats_msg.Msg) -> api.Message:
    return api.Message(subject=message.subject, data=message.data, headers=message.headers or {})


def _stored(message: nats_msg.Msg) -> api.Message:
    """A message of a direct get: where it stood is in its headers."""
    headers = dict(message.headers or {})
    return api.Message(
        subject=headers.get("Nats-Subject", message.subject),
        data=message.data,
        headers=headers,
        stream=headers.get("Nats-Stream", ""),
        sequence=int(headers.get(SEQUENCE, 0)),
        at=timestamp(headers.get("Nats-Time-Stamp", "")),
    )


def _status(message: nats_msg.Msg) -> str:
    return (message.headers or {}).get("Status", "no status")


def timestamp(text: str) -> float:
    """Unix seconds of the server's RFC 3339 time (nanoseconds, which `fromisoformat` cuts itself)."""
    return datetime.datetime.fromisoformat(text).timestamp() if text else 0.0
