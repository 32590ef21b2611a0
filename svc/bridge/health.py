"""How well a service is, from what its instances say of themselves. Pure; never runs the model.

A service is `down` when no instance runs or all of them are down, `degraded` when any of them is not well,
else `ok`. A Discord character nobody started is `off`, which is not a fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from svc.wire import status

Status = Literal["ok", "degraded", "down", "off"]

SERVICES = (
    "router", "llm", "quality", "coordinator", "characters", "retriever", "tuning", "crawler", "bridge",
)  # fmt: skip
"""What a whole Quahog consists of."""
ESSENTIAL = frozenset({"router", "llm", "quality", "coordinator"})
"""Without one of these nobody is answered; without the others answers are poorer (`degraded`)."""
DISCORD = "discord"


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a service."""

    id: str
    version: str
    started: str
    status: status.Level
    reasons: tuple[str, ...] = ()
    metadata: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /health`."""

    service: str
    status: Status
    reasons: tuple[str, ...] = ()
    instances: tuple[Instance, ...] = ()


class Overall(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /services/health`."""

    status: Status
    reasons: tuple[str, ...]
    services: tuple[Report, ...]


def is_character(name: str) -> bool:
    """Whether a port's name stands for the Discord surface of a character."""
    return name not in SERVICES


def pick(name: str, stats: Iterable[status.Stats]) -> tuple[status.Stats, ...]:
    """The instances behind a port's name, in a steady order."""
    if is_character(name):
        found = [one for one in stats if one.name == DISCORD and one.metadata.get("character") == name]
    else:
        found = [one for one in stats if one.name == name]
    return tuple(sorted(found, key=lambda one: (one.started, one.id)))


def report(name: str, stats: Iterable[status.Stats]) -> Report:
    """The health of the service or character called `name`."""
    found = pick(name, stats)
    if not found and is_character(name):
        reason = f"{name} is not on Discord: configure its token and start its discord service"
        return Report(service=name, status="off", reasons=(reason,))
    if not found:
        reason = f"no {name} process answers: start one, or look in its log for why it stopped"
        return Report(service=name, status="down", reasons=(reason,))
    levels = {one.vitals.health.level for one in found}
    verdict: Status = "ok" if levels == {"ok"} else "down" if levels == {"down"} else "degraded"
    reasons = dict.fromkeys(reason for one in found for reason in one.vitals.health.reasons)
    return Report(
        service=name, status=verdict, reasons=tuple(reasons), instances=tuple(map(_instance, found))
    )


def overall(stats: tuple[status.Stats, ...]) -> Overall:
    """Everything: all expected services, and every Discord character that runs."""
    characters = sorted({one.metadata.get("character", "") for one in stats if one.name == DISCORD} - {""})
    reports = tuple(report(name, stats) for name in (*SERVICES, *characters))
    verdict: Status = "ok"
    if any(one.status != "ok" for one in reports):
        verdict = "degraded"
    if any(one.status == "down" and one.service in ESSENTIAL for one in reports):
        verdict = "down"
    reasons = tuple(f"{one.service}: {reason}" for one in reports for reason in one.reasons)
    return Overall(status=verdict, reasons=reasons, services=reports)


def unreachable(name: str) -> Report:
    """The broker is away, so nothing can be known, and nothing can work."""
    return Report(
        service=name, status="down", reasons=("the broker can't be reached: is nats-server running?",)
    )


def _instance(stats: status.Stats) -> Instance:
    return Instance(
        id=stats.id,
        version=stats.version,
        started=stats.started,
        status=stats.vitals.health.level,
        reasons=stats.vitals.health.reasons,
        metadata=stats.metadata,
    )
