"""What to do when Discord doesn't do what it was asked: give up, ask again later, or call it a bug."""

from __future__ import annotations

from typing import Literal

import aiohttp
import discord

from svc.bus import errors

RETRY_FIRST_S = 5.0
RETRY_MAX_S = 60.0
UNAUTHORIZED, RATE_LIMITED, SERVER_ERROR = 401, 429, 500
UNREACHABLE = (OSError, TimeoutError, aiohttp.ClientError, RuntimeError)
"""RuntimeError: aiohttp's "Session is closed", when the client ended meanwhile."""

Reason = Literal["expired", "forbidden", "unknown_channel", "unsure"]


class Undelivered(Exception):
    """What is left of this `say` is never going to be posted."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason: Reason = reason


def decide(error: Exception, deliveries: int) -> Exception:
    """What to raise for an error of a request: Undelivered, Retry, or the error itself (it gets buried).

    A 403 is never retried. discord.py has waited for rate limits and tried 5xx five times already.
    """
    retry = errors.Retry(str(error) or type(error).__name__, after_s=delay_s(deliveries))
    match error:
        case discord.Forbidden():
            return Undelivered("forbidden", f"{error.code} {error.text}")
        case discord.NotFound():
            return Undelivered("unknown_channel", f"{error.code} {error.text}")
        case discord.HTTPException(status=status):
            # A 401 means that the token was reset while we used it: the next login says so.
            return retry if status in (UNAUTHORIZED, RATE_LIMITED) or status >= SERVER_ERROR else error
        case _ if isinstance(error, UNREACHABLE):
            return retry
    return error


def delay_s(deliveries: int) -> float:
    """5, 10, 20 … seconds, a minute at most."""
    return min(RETRY_FIRST_S * 2.0 ** min(deliveries - 1, 10), RETRY_MAX_S)
