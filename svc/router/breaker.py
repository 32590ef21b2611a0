"""Circuit breakers, one a called service: what fails again and again is left alone for a moment.

    closed ──THRESHOLD failures in a row──▶ open ──after its pause──▶ half-open ──one call goes well──▶ closed
                                             ▲                          │
                                             └──────it fails again──────┘

The numbers are the document's SERVICE_CALL: three failures open a breaker, the first pause is 0.5 s and grows
by half each time up to 5 s. While it is open, what may be left out is left out at once, and what may not
(the model, the gate) waits without asking. A breaker belongs to one router process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Literal

import anyio

from svc import retry
from svc.bus import errors

State = Literal["closed", "half-open", "open"]
NUMBER: dict[State, int] = {"closed": 0, "half-open": 1, "open": 2}
"""As metrics show it."""
POLICY = retry.RETRY_CONFIG["SERVICE_CALL"]
THRESHOLD = POLICY.max_attempts
FAIR_S = 1.0
"""A call that was given less time than this and got no answer says nothing about the service."""
LOOK_S = 0.1
"""How often somebody who waits looks whether the probe of another came back."""
SICK = frozenset(
    {"buried", "deadline_passed", "engine_failed", "engine_unreachable", "engine_overloaded", "model_missing"}
)
"""Refusals that mean trouble: the handler crashed, was too slow, or has no engine. Any other refusal is a
service in good health that says no."""


def counts(error: errors.BusError) -> bool:
    """Whether an error speaks against the service that was called.

    No reply does, and refusals that mean trouble. A full queue is no illness, and a broker that can't be
    reached is somebody else's.
    """
    if isinstance(error, errors.Refused):
        return error.code in SICK
    return isinstance(error, errors.NoReply)


class Breaker:
    """Of one service."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        """In a row."""
        self._opened = 0
        """Times in a row."""
        self._until = 0.0
        self._probing = False
        self.reason = ""
        """Of the last failure."""
        self.trips = 0
        """Times it opened, in all."""

    @property
    def state(self) -> State:
        if not self._opened:
            return "closed"
        return "open" if self._clock() < self._until else "half-open"

    def enter(self) -> bool:
        """Whether a call may be made now; each one that may must be followed by `passed`, `failed` or
        `left`. When half-open only one at a time may.
        """
        if self.state == "closed":
            return True
        if self.state == "open" or self._probing:
            return False
        self._probing = True
        return True

    async def wait(self, within_s: float) -> bool:
        """`enter`, waiting for it up to that long; False when it never came."""
        deadline = self._clock() + within_s
        while not self.enter():
            left = deadline - self._clock()
            if left <= 0:
                return False
            await anyio.sleep(min(left, max(LOOK_S, self._until - self._clock())))
        return True

    def passed(self) -> None:
        self._failures = self._opened = 0
        self._probing = False
        self.reason = ""

    def failed(self, reason: str) -> None:
        self._failures += 1
        self.reason = reason
        # Calls that were under way when it opened say nothing new; a failed probe does.
        if self._probing or (not self._opened and self._failures >= THRESHOLD):
            self._opened += 1
            self.trips += 1
            self._until = self._clock() + retry.pause(POLICY, self._opened)
            self._probing = False

    def left(self) -> None:
        """The call ended without a verdict: it was cancelled, or the broker was away."""
        self._probing = False


class Breakers:
    """All of a router's, made as services are called."""

    def __init__(self) -> None:
        self._by_service: dict[str, Breaker] = {}

    def __getitem__(self, service: str) -> Breaker:
        return self._by_service.setdefault(service, Breaker())

    def __iter__(self) -> Iterator[tuple[str, Breaker]]:
        return iter(self._by_service.items())

    def reasons(self) -> tuple[str, ...]:
        """One sentence for each that isn't closed."""
        return tuple(
            f"the breaker of {service} is {one.state}: {one.reason}"
            for service, one in self
            if one.state != "closed"
        )

    def gauges(self) -> dict[str, float]:
        return {
            f'router_breaker_state{{service="{service}"}}': float(NUMBER[one.state]) for service, one in self
        }

    def counters(self) -> dict[str, float]:
        return {
            f'router_breaker_trips_total{{service="{service}"}}': float(one.trips) for service, one in self
        }
