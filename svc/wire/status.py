"""Liveness: what a process says of itself on `$SRV.*` and to the bridge."""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire

Level = Literal["ok", "degraded", "down"]


class Health(Wire, frozen=True, kw_only=True):
    """Cheap and honest: never runs the model."""

    level: Level = "ok"
    reasons: tuple[str, ...] = ()


class Vitals(Wire, frozen=True, kw_only=True):
    """What every instance adds to its `$SRV.STATS` answer, and what the bridge serves by HTTP."""

    health: Health
    counters: dict[str, float] = {}
    """Prometheus-style names -> monotonic totals."""
    gauges: dict[str, float] = {}
    config: dict[str, str | int | float | bool | None] = {}
    """Effective settings without secrets."""


class Pin(Wire, frozen=True, kw_only=True, omit_defaults=False):
    """`data` of an endpoint that one process at a time works off."""

    pinned: bool | None = None
    """Whether this process is the one; null while nobody is, and the next message decides."""


class Endpoint(Wire, frozen=True, kw_only=True, omit_defaults=False):
    """One method of one instance, with ADR-32's field names."""

    name: str
    subject: str
    queue_group: str
    num_requests: int = 0
    num_errors: int = 0
    last_error: str = ""
    processing_time: int = 0
    """Nanoseconds in all."""
    average_processing_time: int = 0
    """Nanoseconds."""
    data: Pin | None = None
    """Null where every process takes its share."""


class Queue(Wire, frozen=True, kw_only=True, omit_defaults=False):
    """Requests of one service that nobody has answered yet."""

    waiting: int = 0
    """Not handed to any process."""
    working: int = 0
    """Handed out, or on the way back from who could not do it."""


class Stats(Wire, frozen=True, kw_only=True, omit_defaults=False):
    """The answer to `$SRV.STATS`, ADR-32 with `vitals` added. Others read it: every field is spelled out."""

    name: str
    id: str
    version: str
    started: str
    """RFC 3339."""
    endpoints: tuple[Endpoint, ...] = ()
    vitals: Vitals = Vitals(health=Health())
    type: str = "io.nats.micro.v1.stats_response"
    metadata: dict[str, str] = {}
