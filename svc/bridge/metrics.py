"""Numbers of a service for Prometheus (text format 0.0.4), or as JSON for people and scripts. Pure."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from svc.wire import status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAMESPACE = "quahog_"
"""In front of every name, so that they stand together in a shared Prometheus."""
NAME = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})?")
NANOSECOND_S = 1e-9

Kind = Literal["counter", "gauge"]


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """One instance, as JSON."""

    service: str
    id: str
    counters: dict[str, float]
    gauges: dict[str, float]
    endpoints: tuple[status.Endpoint, ...]


@dataclasses.dataclass(slots=True)
class _Family:
    """All samples of one metric: the format wants them together, under one TYPE line."""

    kind: Kind
    about: str
    samples: dict[str, float] = dataclasses.field(default_factory=dict[str, float])
    """Label text -> value; a second sample with the same labels never gets in."""


def numbers(stats: Iterable[status.Stats]) -> tuple[Numbers, ...]:
    """What `Accept: application/json` gets."""
    return tuple(
        Numbers(
            service=one.name,
            id=one.id,
            counters=one.vitals.counters,
            gauges=one.vitals.gauges,
            endpoints=one.endpoints,
        )
        for one in stats
    )


def text(stats: Iterable[status.Stats]) -> str:
    """The exposition of these instances. A name no Prometheus would take is left out."""
    families: dict[str, _Family] = {}
    for one in stats:
        labels = {"service": one.name, "instance": one.id}
        level = one.vitals.health.level
        _add(families, "up", "gauge", "1 unless the instance says it is down.", labels, level != "down")
        _add(families, "degraded", "gauge", "1 while the instance is degraded.", labels, level == "degraded")
        for name, value in one.vitals.counters.items():
            _add(families, name, "counter", f"Counted by {one.name}.", labels, value)
        for name, value in one.vitals.gauges.items():
            _add(families, name, "gauge", f"Measured by {one.name}.", labels, value)
        for endpoint in one.endpoints:
            _endpoint(families, labels | {"method": endpoint.name}, endpoint)
    lines: list[str] = []
    for name, family in families.items():
        lines += [f"# HELP {name} {family.about}", f"# TYPE {name} {family.kind}"]
        lines += [f"{name}{{{labels_}}} {_number(value)}" for labels_, value in family.samples.items()]
    return "".join(f"{line}\n" for line in lines)


def _endpoint(families: dict[str, _Family], labels: Mapping[str, str], endpoint: status.Endpoint) -> None:
    seconds = endpoint.processing_time * NANOSECOND_S
    mean = endpoint.average_processing_time * NANOSECOND_S
    _add(families, "requests_total", "counter", "Requests answered.", labels, endpoint.num_requests)
    _add(families, "request_errors_total", "counter", "Requests that failed.", labels, endpoint.num_errors)
    _add(families, "request_seconds_total", "counter", "Seconds spent in handlers.", labels, seconds)
    _add(families, "request_seconds_mean", "gauge", "Mean seconds in the handler.", labels, mean)


def _add(
    families: dict[str, _Family], given: str, kind: Kind, about: str, labels: Mapping[str, str], value: float
) -> None:
    match = NAME.fullmatch(given)
    if match is None:
        return
    name = NAMESPACE + match["name"].removeprefix(NAMESPACE)
    family = families.setdefault(name, _Family(kind=kind, about=about))
    own = ",".join(f'{label}="{_escaped(text_)}"' for label, text_ in labels.items())
    key = f"{own},{match['labels']}" if match["labels"] else own
    if family.kind == kind:
        family.samples.setdefault(key, value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
