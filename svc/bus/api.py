"""The door to the bus: what every service, surface and command uses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from svc.wire import envelope, record, status

if TYPE_CHECKING:
    from svc.bus import calls, state

NOW = 0
"""Follow from now on."""
FIRST = -1
"""Follow from the first message that is still kept."""

FIRST_SEQUENCE, FIRST_AT = "Quahog-First-Sequence", "Quahog-First-At"
"""Headers of a dead letter that was stored again: where and when (Unix milliseconds) it had been stored."""
PLACE = re.compile(r"[0-9]{1,18}", re.ASCII)

R = TypeVar("R", bound=msgspec.Struct)


@dataclasses.dataclass(frozen=True, slots=True)
class Message:
    """A message as it was read: stored (`sequence` > 0) or just heard."""

    subject: str
    data: bytes
    headers: Mapping[str, str]
    stream: str = ""
    sequence: int = 0
    at: float = 0.0
    """Unix seconds, the broker's store time."""

    @property
    def first_sequence(self) -> int:
        """Its place in the stream; of a retried dead letter the place that it had before it was buried."""
        given = self.headers.get(FIRST_SEQUENCE, "")
        return int(given) if PLACE.fullmatch(given) else self.sequence

    @property
    def first_at(self) -> float:
        """When it was stored, in the same sense."""
        given = self.headers.get(FIRST_AT, "")
        return int(given) / 1000 if PLACE.fullmatch(given) else self.at


class Bus(Protocol):
    """One process's connection."""

    instance: str
    """Unique id of this process on the bus."""
    state: state.State
    """What must outlive the cache."""

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
        """Ask a service and wait for its recorded answer.

        The same (service, method, turn, n) is the same call: asking again gives the recorded answer.
        Raises NotAccepted, Overloaded, NoReply, Refused.
        """
        ...

    async def settle(self, subject: str, reply: envelope.Reply) -> envelope.Reply:
        """Record `reply` under the reply subject of a call that got no answer; returns what is recorded.

        That is the true answer if it came after all: the first one counts, and from now on nothing changes
        it. May run twice. Raises NotAccepted.
        """
        ...

    async def publish(
        self, subject: str, body: msgspec.Struct, *, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Store `body` under `subject`, once: True when this write was the first, False when there was one.

        Raises NotAccepted, Overloaded.
        """
        ...

    async def cast(self, subject: str, body: msgspec.Struct) -> None:
        """Send without storing (tokens for a live preview). Nobody may be listening."""
        ...

    async def last(self, subject: str) -> Message | None:
        """The stored message of exactly this subject."""
        ...

    def listen(self, pattern: str) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Messages published under `pattern` from now on, stored or not.

        Core NATS: it may miss some while the connection is away, and may repeat.
        """
        ...

    def follow(
        self, stream: str, patterns: tuple[str, ...], *, since: int = NOW
    ) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Stored messages of a stream in order, without gaps, from sequence `since` + 1 on; never ends.

        `since` may also be `NOW`, `FIRST`, or below it: -100 begins about 100 messages before now.
        """
        ...

    def scan(self, stream: str, patterns: tuple[str, ...]) -> AsyncIterator[Message]:
        """Everything a stream has stored so far under `patterns`, in order; then it ends."""
        ...

    async def survey(self, within_s: float = 0.3) -> tuple[status.Stats, ...]:
        """Every live instance of every service, as it answers `$SRV.STATS`."""
        ...

    async def messages(self, turn: str) -> list[Message]:
        """Everything stored that carries this turn's id, in order of store time."""
        ...

    async def queue(self, service: str) -> status.Queue:
        """How many requests of a service wait, and how many are being worked on: one cheap request.

        Raises NotAccepted.
        """
        ...

    async def turn_record(self, turn: str) -> record.TurnRecord:
        """One turn read back from the record."""
        ...

    def scope(self, turn: str) -> AbstractAsyncContextManager[calls.Scope]:
        """Listen to a turn's replies once, for all calls made inside the block."""
        ...

    async def recall(self, turn: str) -> dict[str, bytes]:
        """Every recorded reply of a turn, subject -> body."""
        ...

    async def ended(self, turn: str) -> Message | None:
        """The recorded outcome of a turn, if it has one."""
        ...

    def now(self) -> float:
        """Unix seconds by the broker's clock, as well as it is known here: what all processes agree on."""
        ...

    def connected(self) -> bool:
        """Whether the broker is reachable right now."""
        ...
