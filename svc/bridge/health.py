"""How well a service is, from what its instances say of themselves. Pure; never runs the model.

A service is `down` when no instance runs or all of them are down, `degraded` when any of them is not well or
none of them is given work, else `ok`. A Discord character nobody started is `off`, which is not a fault; nor
is a process that stands by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
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
TAKEOVER_S = 10.0
"""A standby that is there has taken over by then; twice what was measured."""


@dataclasses.dataclass(frozen=True, slots=True)
class Census:
    """What was found out about everybody at one moment."""

    stats: tuple[status.Stats, ...]
    queues: Mapping[str, status.Queue] = dataclasses.field(default_factory=dict[str, status.Queue])
    """Of every service whose queue could be read."""
    unattended_s: Mapping[str, float] = dataclasses.field(default_factory=dict[str, float])
    """Service -> for how long no process of it is active though one should be."""


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a service."""

    id: str
    version: str
    started: str
    status: status.Level
    reasons: tuple[str, ...] = ()
    active: bool | None = None
    """Where one process at a time works: whether this is it. Null: none is yet, or all share the work."""
    metadata: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `GET /health`."""

    service: str
    status: Status
    reasons: tuple[str, ...] = ()
    waiting: int | None = None
    """Requests that no process has taken yet; null for what answers no requests."""
    working: int | None = None
    """Requests that processes are working on."""
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


def active(stats: status.Stats) -> bool | None:
    """Whether this process is the one that works; None: nobody is yet, or all share the work."""
    pins = {endpoint.data.pinned for endpoint in stats.endpoints if endpoint.data}
    return True if True in pins else False if False in pins else None


def report(name: str, census: Census) -> Report:
    """The health of the service or character called `name`."""
    found = pick(name, census.stats)
    queue = census.queues.get(name)
    waiting, working = (queue.waiting, queue.working) if queue else (None, None)
    if not found and is_character(name):
        reason = f"{name} is not on Discord: configure its token and start its discord service"
        return Report(service=name, status="off", reasons=(reason,))
    if not found:
        reason = f"no {name} process answers: start one, or look in its log for why it stopped"
        return Report(service=name, status="down", reasons=(reason,), waiting=waiting, working=working)
    levels = {one.vitals.health.level for one in found}
    verdict: Status = "ok" if levels == {"ok"} else "down" if levels == {"down"} else "degraded"
    reasons = dict.fromkeys(reason for one in found for reason in one.vitals.health.reasons)
    if (seconds := census.unattended_s.get(name, 0.0)) > TAKEOVER_S:
        verdict = "degraded" if verdict == "ok" else verdict
        reason = f"no {name} process was given work for {seconds:.0f} s: look in their logs, restart them"
        reasons[reason] = None
    return Report(
        service=name,
        status=verdict,
        reasons=tuple(reasons),
        waiting=waiting,
        working=working,
        instances=tuple(map(_instance, found)),
    )


def overall(census: Census) -> Overall:
    """Everything: all expected services, and every Discord character that runs."""
    stats = census.stats
    characters = sorted({one.metadata.get("character", "") for one in stats if one.name == DISCORD} - {""})
    reports = tuple(report(name, census) for name in (*SERVICES, *characters))
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
        active=active(stats),
        metadata=stats.metadata,
    )
