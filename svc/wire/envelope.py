"""What wraps an answer: success or refusal, and the burial note of a message nobody could handle."""

from __future__ import annotations

import msgspec

from svc.wire.base import Wire


class Refusal(Wire, frozen=True, kw_only=True):
    """The handler said no, on purpose."""

    code: str
    """Stable, machine-readable, `snake_case`: `deadline_passed`, `unknown_character`, `buried`, …"""
    message: str = ""
    """One sentence for a person: what is wrong and what to do."""


class Reply(Wire, frozen=True, kw_only=True):
    """The body of every `rep.…` message: exactly one of `result` and `refusal` is set."""

    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    refusal: Refusal | msgspec.UnsetType = msgspec.UNSET
    ms: float = 0.0
    """Milliseconds the handler ran, without queueing."""
    waited_ms: float = 0.0
    """Milliseconds the request waited in its queue before this delivery."""
    instance: str = ""
    """Which process answered."""
    deliveries: int = 1
    """How often the request had been delivered when it was answered (1 = first time)."""
    stand_in: str = ""
    """The degraded path (`no_knowledge`, …) when the caller put this in the place of an answer it did not
    get; what the service says later changes nothing any more."""
    reason: str = ""
    """Why there is a stand-in, in one sentence."""


class Dead(Wire, frozen=True, kw_only=True):
    """The body of `dead.…`: a message that was taken out of the way, with what is needed to retry it."""

    subject: str
    stream: str
    reason: str
    deliveries: int
    at: float
    """Unix seconds."""
    headers: dict[str, str] = {}
    body: str = ""
    """The original body, as text where it is UTF-8, else `base64:…`; of a very long one the beginning."""
    sequence: int = 0
    """Where it stood in its stream; 0 = not known."""
    stored_at: float = 0.0
    """When it was stored there, Unix seconds."""
