"""The bus of one process: calls, publishing, listening, reading back. Implements `api.Bus`."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager

import anyio
import msgspec
from anyio.streams import memory

from svc.bus import api, broker, calls, errors, history, limits, state, status, streams, subjects, trace
from svc.wire import base, envelope, record
from svc.wire import status as wire_status

HEARD_BUFFER = 4096


def instance_id(name: str) -> str:
    """Unique per process, readable, and fit for a subject: `<name>-<host>-<pid>-<random>`."""
    host = "".join(c for c in socket.gethostname() if c.isalnum())[:16] or "host"
    return f"{name}-{host}-{os.getpid()}-{secrets.token_hex(3)}"


class Connection:
    """One process's connection over any broker."""

    def __init__(self, source: broker.Broker, name: str) -> None:
        self.broker = source
        self.instance = instance_id(name)
        self.caller = calls.Caller(source)
        self.state = state.State(source)

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[api.R],
        *,
        turn: str,
        n: int | str = 0,
        within_s: float = limits.CALL_S,
    ) -> api.R:
        return await self.caller.call(
            service, method, request, response, turn=turn, n=n, within_s=within_s, headers=trace.headers()
        )

    async def settle(self, subject: str, reply: envelope.Reply) -> envelope.Reply:
        return await self.caller.settle(
            subject, msgspec.structs.replace(reply, instance=self.instance), trace.headers()
        )

    async def publish(
        self, subject: str, body: msgspec.Struct, *, headers: Mapping[str, str] | None = None
    ) -> bool:
        try:
            await self.broker.append(subject, base.encode(body), {**trace.headers(), **(headers or {})})
        except errors.AlreadyRecorded:
            return False
        return True

    async def cast(self, subject: str, body: msgspec.Struct) -> None:
        await self.broker.cast(subject, base.encode(body))

    async def last(self, subject: str) -> api.Message | None:
        return await self.broker.last(subject)

    @contextlib.asynccontextmanager
    async def listen(self, pattern: str) -> AsyncIterator[AsyncIterator[api.Message]]:
        send, receive = anyio.create_memory_object_stream[api.Message](HEARD_BUFFER)

        def arrived(message: api.Message, _reply: str) -> None:
            _offer(send, message)

        subscription = await self.broker.subscribe(pattern, arrived)
        try:
            yield receive
        finally:
            with anyio.CancelScope(shield=True):
                await subscription.close()
            receive.close()
            send.close()

    def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int = api.NOW
    ) -> AbstractAsyncContextManager[AsyncIterator[api.Message]]:
        return self.broker.follow(stream, patterns, since=since)

    def scan(self, stream: str, patterns: tuple[str, ...]) -> AsyncIterator[api.Message]:
        return self.broker.scan(stream, patterns)

    async def survey(self, within_s: float = 0.3) -> tuple[wire_status.Stats, ...]:
        return await status.survey(self.broker, within_s)

    async def messages(self, turn: str) -> list[api.Message]:
        return await history.messages(self.broker, turn)

    async def queue(self, service: str) -> wire_status.Queue:
        return await self.broker.queue(streams.work(service))

    async def turn_record(self, turn: str) -> record.TurnRecord:
        return await history.turn_record(self.broker, turn)

    def now(self) -> float:
        return self.broker.now()

    def connected(self) -> bool:
        return self.broker.connected()

    def scope(self, turn: str) -> AbstractAsyncContextManager[calls.Scope]:
        """Listen to a turn's replies once, for all calls made inside the block."""
        return self.caller.scope(turn)

    async def recall(self, turn: str) -> dict[str, bytes]:
        """Every recorded reply of a turn, subject -> body."""
        return await self.caller.recall(turn)

    async def ended(self, turn: str) -> api.Message | None:
        """The recorded outcome of a turn, if it has one."""
        return await self.broker.last(subjects.event("turn", "ended", turn))

    async def close(self) -> None:
        await self.broker.close()


def _offer(send: memory.MemoryObjectSendStream[api.Message], message: api.Message) -> None:
    """Core NATS promises nothing: a listener that is too slow misses messages, it never stops the loop."""
    with contextlib.suppress(anyio.WouldBlock, anyio.BrokenResourceError, anyio.ClosedResourceError):
        send.send_nowait(message)
