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
