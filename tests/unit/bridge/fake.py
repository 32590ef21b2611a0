"""A bus in memory with just enough of `api.Bus` for the bridge: answers from a table, one stored stream."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import TypeVar, cast

import anyio
import anyio.lowlevel
import msgspec
from anyio.streams import memory

from svc.bus import api, errors, subjects
from svc.wire import base, record, status

R = TypeVar("R", bound=msgspec.Struct)
Handler = Callable[[msgspec.Struct], "msgspec.Struct | Exception"]

SHELF = 1_000
STORED = ("evt.message.>", "evt.turn.>")
"""What goes to RECORD and so has a sequence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    service: str
    method: str
    request: msgspec.Struct
    turn: str
    n: str
    within_s: float


class FakeBus:
    """Give it `answers[service, method]`, `stats` and `records`; read back `calls`, `published`."""

    def __init__(self, *, first: int = 1) -> None:
        self.instance = "fake"
        self.answers: dict[tuple[str, str], Handler] = {}
        self.stats: tuple[status.Stats, ...] = ()
        self.queues: dict[str, status.Queue] = {}
        self.records: dict[str, record.TurnRecord] = {}
        self.calls: list[Call] = []
        self.published: dict[str, msgspec.Struct] = {}
        self.stored: list[api.Message] = []
        self.surveys = 0
        self.follows = 0
        self.up = True
        self.failing: Exception | None = None
        """Raised by `publish` when set."""
        self._next = first
        self._ears: list[tuple[tuple[str, ...], memory.MemoryObjectSendStream[api.Message]]] = []

    def door(self) -> api.Bus:
        """This bus as the bridge takes it: all of `api.Bus` that the bridge uses is here."""
        return cast(api.Bus, self)

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[R],
        *,
        turn: str,
        n: int | str = 0,
        within_s: float = 10.0,
    ) -> R:
        await anyio.lowlevel.checkpoint()
        self.calls.append(Call(service, method, request, turn, str(n), within_s))
        answer = self.answers[service, method](request)
        if isinstance(answer, Exception):
            raise answer
        return base.decode(base.encode(answer), response)

    async def publish(
        self, subject: str, body: msgspec.Struct, *, headers: Mapping[str, str] | None = None
    ) -> bool:
        await anyio.lowlevel.checkpoint()
        if self.failing is not None:
            raise self.failing
        if subject in self.published:
            return False
        self.published[subject] = body
        stored = any(subjects.matches(pattern, subject) for pattern in STORED)
        message = api.Message(subject, base.encode(body), {}, sequence=self._next if stored else 0)
        if stored:
            self.stored.append(message)
            self._next += 1
        self.heard(message)
        return True

    async def cast(self, subject: str, body: msgspec.Struct) -> None:
        self.heard(api.Message(subject, base.encode(body), {}))

    async def last(self, subject: str) -> api.Message | None:
        return next((one for one in reversed(self.stored) if one.subject == subject), None)

    @contextlib.asynccontextmanager
    async def listen(self, pattern: str) -> AsyncIterator[AsyncIterator[api.Message]]:
        with self._ear((pattern,)) as ear:
            yield ear

    @contextlib.asynccontextmanager
    async def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int = 0
    ) -> AsyncIterator[AsyncIterator[api.Message]]:
        assert stream == "RECORD"
        self.follows += 1
        start = since if since > 0 else self._next - 1 + since
        with self._ear(patterns) as ear:
            for message in self.stored:
                if message.sequence > start and any(
                    subjects.matches(each, message.subject) for each in patterns
                ):
                    self._ears[-1][1].send_nowait(message)
            yield ear

    async def survey(self, within_s: float = 0.3) -> tuple[status.Stats, ...]:
        self.surveys += 1
        await anyio.sleep(0.01)
        return self.stats

    async def queue(self, service: str) -> status.Queue:
        await anyio.lowlevel.checkpoint()
        if service not in self.queues:
            raise errors.NotAccepted("no such queue")
        return self.queues[service]

    async def turn_record(self, turn: str) -> record.TurnRecord:
        return self.records.get(turn, record.TurnRecord(turn=turn, found=False))

    def connected(self) -> bool:
        return self.up

    def ears(self) -> int:
        """How many listen or follow right now."""
        return len(self._ears)

    def heard(self, message: api.Message) -> None:
        """Hand a message to whoever listens for it."""
        for patterns, send in self._ears:
            if any(subjects.matches(pattern, message.subject) for pattern in patterns):
                send.send_nowait(message)

    @contextlib.contextmanager
    def _ear(self, patterns: tuple[str, ...]) -> Iterator[memory.MemoryObjectReceiveStream[api.Message]]:
        send, receive = anyio.create_memory_object_stream[api.Message](SHELF)
        ear = (patterns, send)
        self._ears.append(ear)
        try:
            yield receive
        finally:
            self._ears.remove(ear)
            send.close()
            receive.close()
