"""A turn as read back from the record: what `quahog turn`, `/api/turns/<id>` and the console show."""

from __future__ import annotations

from typing import Literal

import msgspec

from svc.wire.base import Wire
from svc.wire.turn import Ended


class Step(Wire, frozen=True, kw_only=True):
    """One recorded call of a turn, its request and its reply put together."""

    service: str
    method: str
    n: str
    """Attempt, or `<attempt>-<k>`."""
    start_ms: float
    """When the request was stored, counted from the turn's own store time."""
    waited_ms: float = 0.0
    """In the queue."""
    ms: float = 0.0
    """In the handler."""
    total_ms: float = 0.0
    """From stored request to stored reply."""
    status: Literal["done", "degraded", "refused", "running"] = "running"
    """`degraded`: nobody answered in time, so the router took a stand-in."""
    detail: str = ""
    """One line for a person: score and verdict, passages found, tokens made, why it was refused."""
    request: msgspec.Raw = msgspec.Raw(b"null")
    reply: msgspec.Raw = msgspec.Raw(b"null")


class TurnRecord(Wire, frozen=True, kw_only=True):
    """One turn, whole. `ended` is None while it runs (or when it is not known)."""

    turn: str
    found: bool
    steps: tuple[Step, ...] = ()
    """In order of `start_ms`."""
    ended: Ended | None = None
    posted: int = 0
    """Pieces posted."""
    total_ms: float = 0.0
    """From the turn's store time to its outcome."""
