"""The calls of one turn, each ending in exactly one recorded reply.

When nobody answers in time, the router itself records what it goes on with: a *stand-in* for what may be
left out, a refusal for what may not. So whoever takes the turn over, or replays it, sees the same, and an
answer that comes later changes nothing.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import anyio
import msgspec

from svc import retry
from svc.bus import api, calls, errors, subjects
from svc.router import breaker
from svc.wire import base, envelope

R = TypeVar("R", bound=msgspec.Struct)
NO_REPLY, OVERLOADED = "no_reply", "overloaded"
"""Codes of the refusals that the router records itself."""
LATER_MAYBE = frozenset({NO_REPLY, OVERLOADED, "deadline_passed"})
"""Refusals after which the same question, asked again, may get an answer."""
UNANSWERED = (errors.NoReply, errors.Overloaded)
Watch = Callable[[str, msgspec.Struct], None]
"""Told the reply subject and the request of every step, whether it is asked now or known."""


def nobody(_subject: str, _request: msgspec.Struct) -> None:
    """Nobody watches."""


class Bus(Protocol):
    """What steps need of `api.Bus`."""

    async def call(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[api.R],
        *,
        turn: str,
        n: int | str = 0,
        within_s: float = 10.0,
    ) -> api.R: ...

    async def settle(self, subject: str, reply: envelope.Reply) -> envelope.Reply: ...


@dataclasses.dataclass(frozen=True, slots=True)
class StandIn(Generic[R]):
    """What a turn goes on with when a service doesn't answer."""

    path: str
    """Name of the degraded path."""
    value: R


class Steps:
    """Of one run of one turn."""

    def __init__(
        self,
        bus: Bus,
        breakers: breaker.Breakers,
        scope: calls.Scope,
        watch: Watch = nobody,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._bus = bus
        self._breakers = breakers
        self._scope = scope
        self._watch = watch
        self._sleep = sleep

    def unrefused(self, service: str, method: str, request: msgspec.Struct) -> int:
        """The first number (from 0) under which a step was not refused yet, as far as this run has read.

        A request that came too late is refused on the record, and the same number would give that for ever.
        """
        n = 0
        while (data := self._scope.known(wanted := self._wanted(service, method, n))) is not None:
            if isinstance(calls.reply_in(data).refusal, msgspec.UnsetType):
                break
            self._watch(wanted, request)
            n += 1
        return n

    async def pause(self, seconds: float, service: str, method: str, n: int | str) -> None:
        """Wait before a step, unless an earlier run has got past it: nobody waits for it again."""
        if self._scope.known(self._wanted(service, method, n)) is None:
            await self._sleep(seconds)

    async def ask(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[R],
        *,
        n: int | str,
        within_s: float,
    ) -> R:
        """An answer that nobody can do without; waits for an open breaker, and a moment for a full queue.

        Raises Refused with the recorded code (`no_reply` and `overloaded` are the router's own words), and
        NotAccepted while the broker can't be reached.
        """
        wanted = self._wanted(service, method, n)
        self._watch(wanted, request)
        if (data := self._scope.known(wanted)) is not None:
            return calls.unwrap(data, response)
        guard, deadline = self._breakers[service], time.monotonic() + within_s
        times = 0
        while True:
            left = deadline - time.monotonic()
            if not await guard.wait(left):
                reason = f"{service} was left alone: {guard.reason}"
                return await self._refuse(wanted, NO_REPLY, reason, response)
            try:
                return await self._call(guard, service, method, request, response, n=n, within_s=left)
            except errors.NoReply as error:
                return await self._refuse(wanted, NO_REPLY, str(error), response)
            except errors.Overloaded as error:
                # A burst passes in a moment; a queue that stays full is news for whoever waits.
                times += 1
                delay = retry.decide(breaker.POLICY, times, left_s=left, needed_s=breaker.FAIR_S)
                if delay is None:
                    return await self._refuse(wanted, OVERLOADED, str(error), response)
                await self._sleep(delay)

    async def ask_or(
        self,
        instead: StandIn[R],
        service: str,
        method: str,
        request: msgspec.Struct,
        *,
        n: int | str,
        within_s: float,
    ) -> tuple[R, bool]:
        """An answer that may be left out, and whether it was: then it is `instead`.

        Raises Refused with the recorded code, NotAccepted while the broker can't be reached.
        """
        try:
            answer = await self.ask_if(service, method, request, type(instead.value), n=n, within_s=within_s)
        except UNANSWERED as error:
            return await self.stand_in(instead, service, method, str(error), n=n)
        return answer, self.stood_in(service, method, n)

    async def ask_if(
        self,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[R],
        *,
        n: int | str,
        within_s: float,
    ) -> R:
        """An answer if there is one in time; records nothing of its own.

        Raises NoReply (also while the breaker is open), Overloaded, Refused, NotAccepted.
        """
        wanted = self._wanted(service, method, n)
        self._watch(wanted, request)
        if (data := self._scope.known(wanted)) is not None:
            return calls.unwrap(data, response)
        guard = self._breakers[service]
        if not guard.enter():
            raise errors.NoReply(f"{service} was left alone: {guard.reason}")
        return await self._call(guard, service, method, request, response, n=n, within_s=within_s)

    async def stand_in(
        self, instead: StandIn[R], service: str, method: str, reason: str, *, n: int | str
    ) -> tuple[R, bool]:
        """Record `instead` as the answer of a step; returns what is recorded, as `ask_or` does."""
        standing = envelope.Reply(
            result=msgspec.Raw(base.encode(instead.value)), stand_in=instead.path, reason=reason
        )
        reply = await self._bus.settle(self._wanted(service, method, n), standing)
        return calls.result(reply, type(instead.value)), bool(reply.stand_in)

    def stood_in(self, service: str, method: str, n: int | str) -> bool:
        """Whether the recorded answer is a stand-in: another run of this turn may have given up before us."""
        data = self._scope.known(self._wanted(service, method, n))
        return data is not None and bool(calls.reply_in(data).stand_in)

    def _wanted(self, service: str, method: str, n: int | str) -> str:
        return subjects.reply(service, method, self._scope.turn, n)

    async def _call(
        self,
        guard: breaker.Breaker,
        service: str,
        method: str,
        request: msgspec.Struct,
        response: type[R],
        *,
        n: int | str,
        within_s: float,
    ) -> R:
        """One call, and what the breaker learns from it."""
        try:
            answer = await self._bus.call(
                service, method, request, response, turn=self._scope.turn, n=n, within_s=within_s
            )
        except (errors.Refused, errors.NoReply) as error:
            if not breaker.counts(error):
                guard.passed()
            elif within_s >= breaker.FAIR_S:
                guard.failed(str(error))
            else:
                guard.left()
            raise
        except BaseException:
            guard.left()
            raise
        guard.passed()
        return answer

    async def _refuse(self, wanted: str, code: str, message: str, response: type[R]) -> R:
        """Record that there is no answer; raises Refused, unless one was recorded meanwhile."""
        reply = envelope.Reply(refusal=envelope.Refusal(code=code, message=message))
        return calls.result(await self._bus.settle(wanted, reply), response)
