"""Recorded calls, the caller's side: publish the request, act only on the stored reply.

A caller listens once per turn to `got.*.*.<turn>.*`, where the server republishes replies after storing them.
That notification may be missed (a reconnect) and is repeated by a worker that finds its reply recorded
already, so a caller also reads the record: after every reconnect, now and then, and before giving up.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping

import anyio
import msgspec

from svc.bus import api, broker, errors, limits, subjects
from svc.wire import base, envelope


class Scope:
    """The replies of one turn, as they arrive; shared by all calls this process makes in it."""

    def __init__(self, turn: str) -> None:
        self.turn = turn
        self.users = 0
        self.subscription: broker.Subscription | None = None
        self.opening = anyio.Lock()
        self._replies: dict[str, bytes] = {}
        self._waiting: dict[str, asyncio.Future[bytes | None]] = {}

    def arrived(self, message: api.Message, _reply: str) -> None:
        self.learn(subjects.reply_of_got(message.subject), message.data)

    def learn(self, subject: str, data: bytes) -> None:
        """A reply is known; the first one counts."""
        if subject in self._replies:
            return
        self._replies[subject] = data
        if (future := self._waiting.pop(subject, None)) and not future.done():
            future.set_result(data)

    def subjects(self) -> tuple[str, ...]:
        """The subjects of the replies known so far."""
        return tuple(self._replies)

    def known(self, subject: str) -> bytes | None:
        return self._replies.get(subject)

    async def wait(self, subject: str, seconds: float) -> bytes | None:
        """The reply, or None when it is time to read the record."""
        if (data := self._replies.get(subject)) is not None:
            return data
        future = self._waiting.get(subject)
        if future is None:
            future = self._waiting[subject] = asyncio.get_running_loop().create_future()
        with anyio.move_on_after(max(0.0, seconds)):
            return await asyncio.shield(future)
        return None

    def nudge(self) -> None:
        """Wake everybody who waits, so that they read the record (the connection was away)."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(None)


class Caller:
    """Makes calls over one broker connection."""

    def __init__(self, source: broker.Broker) -> None:
        self._broker = source
        self._scopes: dict[str, Scope] = {}
        source.on_reconnect(self._reconnected)

    def _reconnected(self) -> None:
        for scope in self._scopes.values():
            scope.nudge()

    @contextlib.asynccontextmanager
    async def scope(self, turn: str) -> AsyncIterator[Scope]:
        """Listen to the replies of a turn while the block runs."""
        scope = self._scopes.get(turn)
        if scope is None:
            scope = self._scopes[turn] = Scope(turn)
        scope.users += 1
        try:
            async with scope.opening:
                if scope.subscription is None:
                    pattern = subjects.of_turn(turn, "got")
                    scope.subscription = await self._broker.subscribe(pattern, scope.arrived)
            yield scope
        finally:
            scope.users -= 1
            if scope.users == 0:
                del self._scopes[turn]
                if scope.subscription is not None:
                    with anyio.CancelScope(shield=True):
                        await scope.subscription.close()

    async def recall(self, turn: str) -> dict[str, bytes]:
        """Every recorded reply of a turn, one request to each of the two recording streams."""
        pattern = [subjects.of_turn(turn, "rep")]
        found: dict[str, bytes] = {}
        for stream in ("RECORD", "LOG"):
            for message in await self._broker.latest(stream, pattern):
                found[message.subject] = message.data
        return found

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[api.R],
        *,
        turn: str,
        n: int | str,
        within_s: float,
        headers: Mapping[str, str],
    ) -> api.R:
        """See `api.Bus.call`."""
        wanted = subjects.reply(service, method, turn, n)
        async with self.scope(turn) as scope:
            data = scope.known(wanted)
            if data is None:
                data = await self._ask(scope, wanted, request, within_s, headers)
        return unwrap(data, response)

    async def settle(self, subject: str, reply: envelope.Reply, headers: Mapping[str, str]) -> envelope.Reply:
        """See `api.Bus.settle`."""
        async with self.scope(subjects.parse(subject).turn) as scope:
            data = base.encode(reply)
            try:
                await self._broker.append(subject, data, headers)
            except errors.AlreadyRecorded:
                stored = await self._broker.last(subject)
                if stored is None:
                    raise errors.NotAccepted(f"{subject} is recorded, but can't be read") from None
                data = stored.data
            scope.learn(subject, data)
            return base.decode(data, envelope.Reply)

    async def _ask(
        self,
        scope: Scope,
        wanted: str,
        request: msgspec.Struct,
        within_s: float,
        headers: Mapping[str, str],
    ) -> bytes:
        if within_s <= 0:
            raise errors.NoReply(f"{wanted}: the deadline has passed, nothing was asked")
        deadline = time.monotonic() + within_s
        end = deadline + limits.REPLY_GRACE_S
        body = base.encode(request)
        if len(body) > limits.BODY_BYTES_MAX:
            raise errors.Refused(
                "request_too_large", f"{wanted}: {len(body)} bytes, at most {limits.BODY_BYTES_MAX}"
            )
        repeated: dict[str, str] = {}
        while (left := deadline - time.monotonic()) > 0:
            sent = {**headers, **repeated, broker.DEADLINE: str(int(left * 1000))}
            # Again and again: a killed broker forgets requests that it acknowledged. While one is queued or
            # worked on, the others are refused; and whoever takes a repeated one looks into the record first.
            try:
                await self._broker.append(subjects.request_of(wanted), body, sent, within_s=left)
            except errors.AlreadyRecorded:
                # Queued, worked on, or answered a moment ago and not acked yet.
                if (data := await self._recorded(scope, wanted)) is not None:
                    return data
            except (errors.NotAccepted, errors.Overloaded):
                if not repeated:
                    raise
            repeated = {broker.REPEATED: "1"}
            left = deadline - time.monotonic()
            pause = limits.RECHECK_S if left > limits.RECHECK_S else end - time.monotonic()
            if (data := await scope.wait(wanted, pause)) is not None:
                return data
            if (data := await self._recorded(scope, wanted)) is not None:
                return data
        raise errors.NoReply(f"{wanted}: accepted, but no answer within {within_s:.1f} s")

    async def _recorded(self, scope: Scope, subject: str) -> bytes | None:
        with contextlib.suppress(errors.NotAccepted):
            if message := await self._broker.last(subject):
                scope.learn(subject, message.data)
        return scope.known(subject)


def unwrap(data: bytes, response: type[api.R]) -> api.R:
    """The result of a recorded reply. Raises Refused with the recorded code, or `bad_reply`."""
    return result(reply_in(data), response)


def reply_in(data: bytes) -> envelope.Reply:
    """The recorded reply itself. Raises Refused `bad_reply`: anybody may have written there."""
    try:
        return base.decode(data, envelope.Reply)
    except msgspec.MsgspecError as error:
        raise errors.Refused("bad_reply", f"the recorded reply is no reply: {error}") from None


def result(reply: envelope.Reply, response: type[api.R]) -> api.R:
    """What a reply carries. Raises Refused as `unwrap` does."""
    try:
        if not isinstance(reply.refusal, msgspec.UnsetType):
            raise errors.Refused(reply.refusal.code, reply.refusal.message)
        if isinstance(reply.result, msgspec.UnsetType):
            raise errors.Refused("bad_reply", "the recorded reply has neither result nor refusal")
        return base.decode(reply.result, response)
    except msgspec.MsgspecError as error:
        raise errors.Refused("bad_reply", f"the recorded reply is no {response.__name__}: {error}") from None
