"""Retry as a named, pure decision: the document's configuration, and the delay before the next attempt."""

from __future__ import annotations

import dataclasses
import random
from typing import Literal

Tier = Literal["standard", "enhanced", "aggressive"]


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """Delays grow as base × exponent^(attempt − 1), never above `max_delay_s`."""

    max_attempts: int
    base_delay_s: float
    exponential_base: float
    max_delay_s: float
    jitter: bool


RETRY_CONFIG = {
    "DISCORD_MESSAGE": Policy(10, 1.0, 2.0, 30.0, jitter=True),
    "SERVICE_CALL": Policy(3, 0.5, 1.5, 5.0, jitter=False),
}
"""The document's table: a whole turn, and one call of a service."""


def decide(policy: Policy, attempt: int, *, left_s: float, needed_s: float, seed: str = "") -> float | None:
    """Seconds to wait after failed attempt number `attempt` (from 1), or None to give up.

    It gives up after the last attempt, and when waiting would leave less than `needed_s` of the time left;
    a delay that only just does not fit is shortened rather than given up on. Jitter takes off up to half
    (the "equal jitter" of https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/)
    and is drawn from `seed` alone, so a replay waits exactly as long.
    """
    if attempt >= policy.max_attempts or left_s <= needed_s:
        return None
    delay = pause(policy, attempt)
    if policy.jitter:
        delay *= 0.5 + random.Random(f"{seed}:{attempt}").random() / 2
    return min(delay, left_s - needed_s)


def pause(policy: Policy, times: int) -> float:
    """Seconds to wait after the `times`th failure (from 1), before jitter and deadlines."""
    return min(policy.max_delay_s, policy.base_delay_s * policy.exponential_base ** (times - 1))


def tier(attempt: int) -> Tier:
    """Attempts 1–3 are standard, 4–6 enhanced, 7–10 aggressive."""
    return "standard" if attempt <= 3 else "enhanced" if attempt <= 6 else "aggressive"
