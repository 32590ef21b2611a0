"""Saying no: rate-limit buckets, and faults a test orders in advance."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Mapping

from tests.fake_discord.protocol import Json


@dataclasses.dataclass(slots=True)
class Bucket:
    left: int
    resets_at: float
    """Unix seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """The answer to one request for a token."""

    allowed: bool
    retry_after_s: float
    headers: Mapping[str, str]


class Buckets:
    """One bucket per (route, user, channel), as Discord counts them."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str, str], Bucket] = {}

    def take(self, key: tuple[str, str, str], limit: int, per_s: float) -> Taken:
        now = time.time()
        bucket = self._buckets.setdefault(key, Bucket(limit, 0.0))
        if now >= bucket.resets_at:
            bucket.left, bucket.resets_at = limit, now + per_s
        allowed = bucket.left > 0
        bucket.left -= allowed
        after = max(bucket.resets_at - now, 0.0)
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(bucket.left),
            "X-RateLimit-Reset": f"{bucket.resets_at:.3f}",
            "X-RateLimit-Reset-After": f"{after:.3f}",
            "X-RateLimit-Bucket": re.sub(r"\W", "", key[0]),
        }
        return Taken(allowed, after, headers)


@dataclasses.dataclass(slots=True)
class Fault:
    """The next `times` requests that match are answered with this instead."""

    method: str
    path: re.Pattern[str]
    status: int
    body: Json | None
    headers: Mapping[str, str]
    times: int


class Faults:
    """Answers a test has ordered, first come first served."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def order(
        self,
        method: str,
        path: str,
        status: int,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """`path` is a regular expression, searched for in the request's path."""
        self._faults.append(Fault(method, re.compile(path), status, body, headers or {}, times))

    def order_429(
        self, method: str, path: str, retry_after_s: float, times: int = 1, *, everywhere: bool = False
    ) -> None:
        """A rate limit; `everywhere` = the global one."""
        headers = {
            "Retry-After": str(int(retry_after_s) + 1),
            "X-RateLimit-Scope": "global" if everywhere else "user",
        }
        if everywhere:
            headers["X-RateLimit-Global"] = "true"
        body = {"message": "You are being rate limited.", "retry_after": retry_after_s, "global": everywhere}
        self.order(method, path, 429, body, headers, times)

    def take(self, method: str, path: str) -> Fault | None:
        for fault in self._faults:
            if fault.times and fault.method == method and fault.path.search(path):
                fault.times -= 1
                return fault
        return None
