"""Streams and consumers: the tables, and the only code that creates or changes them.

At start `ensure` compares what the server has with what we ask for, creates or updates what differs, and
refuses to go on, naming the missing feature, when the server's answer differs from the request: old
servers silently drop flags they don't know.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from svc import errors
from svc.bus import errors as bus_errors
from svc.bus import limits, subjects

NANO = 1_000_000_000
SERVICES = ("llm", "coordinator", "quality", "tuning", "router", "characters", "retriever", "crawler")
"""Services that answer requests, each with a work queue of its own."""
RECOMPUTABLE = tuple(name for name in SERVICES if name != "llm")
STATE_PREFIX = "$KV.STATE."
SUSPECT_PREFIX = "$KV.SUSPECT."

EVENTS_RECORDED = ("message", "turn", "feedback", "consent")
"""Nouns of events that can't be recomputed; they live in RECORD."""
EVENTS_LOGGED = ("decision", "crawl", "index", "service")
"""Nouns of events that are cheap to lose; they live in LOG."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stream:
    """One stream. `why` is printed in `subjects.md`."""

    name: str
    subjects: tuple[str, ...]
    why: str
    retention: Literal["limits", "workqueue"] = "limits"
    durability: Literal["fsync", "async"] = "fsync"
    max_age_s: float = limits.RECORD_AGE_S
    max_bytes: int = limits.STREAM_BYTES_MAX
    max_msgs: int = -1
    max_msgs_per_subject: int = -1
    republish: tuple[str, str] | None = None
    schedules: bool = False
    key_value: bool = False

    def config(self) -> dict[str, Any]:
        """The JSON the server is asked for, every option spelled out."""
        config: dict[str, Any] = {
            "name": self.name,
            "subjects": list(self.subjects),
            "retention": self.retention,
            "storage": "file",
            "max_age": int(self.max_age_s * NANO),
            "max_bytes": self.max_bytes,
            "max_msgs": self.max_msgs,
            "max_msgs_per_subject": self.max_msgs_per_subject,
            "max_msg_size": limits.BODY_BYTES_MAX + limits.HEADER_BYTES_MAX,
            "max_consumers": -1,
            "discard": "new" if self.retention == "workqueue" or self.key_value else "old",
            "num_replicas": 1,
            "allow_direct": True,
            "duplicate_window": int(min(120.0, self.max_age_s or 120.0) * NANO),
        }
        if self.durability == "async":
            config["persist_mode"] = "async"
        if self.republish:
            config["republish"] = {"src": self.republish[0], "dest": self.republish[1]}
        if self.schedules:
            config["allow_msg_schedules"] = True
        if self.key_value:
            config |= {"allow_rollup_hdrs": True, "deny_delete": True}
        return config


def work(service: str) -> str:
    """Name of a service's queue."""
    return f"WORK_{service}"


def _work(service: str) -> Stream:
    return Stream(
        name=work(service),
        subjects=(f"req.{service}.>",),
        why=f"requests waiting for {service}: one visible queue a service",
        retention="workqueue",
        durability="async",
        max_age_s=limits.WORK_AGE_S,
        max_bytes=limits.WORK_BYTES_MAX,
        max_msgs=limits.MODEL_WAITING_MAX if service == "llm" else limits.WORK_MSGS_MAX,
        republish=("req.>", "log.>"),
    )


STREAMS = (
    Stream("TURNS", ("turn.user.>",), "people's turns"),
    Stream(
        "PLANS",
        ("later.>", "turn.organic.>", "turn.idle.>"),
        "turns to come; a schedule can only target its own stream, so a plan never forges a user's turn",
        republish=("turn.>", "fired.>"),
        schedules=True,
    ),
    Stream("SAY", ("say.>",), "what must be posted"),
    Stream(
        "RECORD",
        ("rep.llm.>", *(f"evt.{noun}.>" for noun in EVENTS_RECORDED)),
        "what can't be recomputed: generations, heard and posted, outcomes, votes, opt-outs",
        max_bytes=limits.RECORD_BYTES_MAX,
        republish=("rep.>", "got.>"),
    ),
    Stream(
        "LOG",
        ("log.>", *(f"rep.{name}.>" for name in RECOMPUTABLE), *(f"evt.{noun}.>" for noun in EVENTS_LOGGED)),
        "the rest of the record: cheap to recompute",
        durability="async",
        max_bytes=limits.RECORD_BYTES_MAX,
        republish=("rep.>", "got.>"),
    ),
    Stream("DEAD", ("dead.>",), "nothing vanishes", max_age_s=limits.DEAD_AGE_S),
    Stream(
        "KV_STATE",
        (f"{STATE_PREFIX}>",),
        "the key-value bucket STATE: what must outlive the cache",
        max_age_s=0,
        max_bytes=limits.STATE_BYTES_MAX,
        max_msgs_per_subject=1,
        key_value=True,
    ),
    Stream(
        "KV_SUSPECT",
        (f"{SUSPECT_PREFIX}>",),
        "the key-value bucket SUSPECT: messages that processes died of, and which processes",
        durability="async",
        max_age_s=limits.SUSPECT_AGE_S,
        max_bytes=limits.SUSPECT_BYTES_MAX,
        max_msgs_per_subject=1,
    ),
    *(_work(service) for service in SERVICES),
)
BY_NAME = {stream.name: stream for stream in STREAMS}


@dataclasses.dataclass(frozen=True, slots=True)
class Consumer:
    """One durable pull consumer = one queue group: start more processes to share its work."""

    name: str
    stream: str
    filters: tuple[str, ...]
    ack_wait_s: float = limits.ACK_WAIT_S
    max_ack_pending: int = limits.ACK_PENDING_MAX
    deliveries_max: int = limits.DELIVERIES_MAX
    """Delivered more often than this without success, a message is buried."""
    pinned: bool = False
    """Only one process at a time is served; another takes over when it stops pulling."""
    follows: str = ""
    """A pinned consumer that must be served in the same process as this one."""

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = {
            "name": self.name,
            "durable_name": self.name,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "replay_policy": "instant",
            "ack_wait": int(self.ack_wait_s * NANO),
            "max_deliver": -1,
            "max_ack_pending": self.max_ack_pending,
            "max_waiting": 512,
        }
        if len(self.filters) == 1:
            config["filter_subject"] = self.filters[0]
        else:
            config["filter_subjects"] = list(self.filters)
        if self.pinned:
            config |= {
                "priority_policy": "pinned_client",
                "priority_groups": [PIN_GROUP],
                "priority_timeout": int(limits.PIN_S * NANO),
            }
        return config


PIN_GROUP = "gpu"


def _model(method: str, slots: int, follows: str = "") -> Consumer:
    """What a model process may hold is what it has slots for: the spare pull that keeps its pin must stay
    open, and would not if the server answered it with one message more."""
    return Consumer(
        f"llm-{method}",
        "WORK_llm",
        (f"req.llm.{method}.>",),
        ack_wait_s=limits.MODEL_ACK_WAIT_S,
        max_ack_pending=slots,
        pinned=True,
        follows=follows,
    )


CONSUMERS = (
    *(Consumer(name, f"WORK_{name}", (f"req.{name}.>",)) for name in RECOMPUTABLE),
    _model("generate", limits.MODEL_SLOTS),
    _model("banter", limits.BANTER_SLOTS, follows="llm-generate"),
    Consumer("llm-embed", "WORK_llm", ("req.llm.embed.>",)),
    Consumer("router-turns", "TURNS", ("turn.user.>",), deliveries_max=limits.PATIENCE_MAX),
    Consumer("router-plans", "PLANS", ("turn.organic.>", "turn.idle.>"), deliveries_max=limits.PATIENCE_MAX),
    Consumer("coordinator-heard", "RECORD", ("evt.message.>",), deliveries_max=limits.PATIENCE_MAX),
    Consumer("tuning-outcomes", "RECORD", ("evt.turn.ended.>",), deliveries_max=limits.PATIENCE_MAX),
    Consumer("console", "SAY", ("say.console.>",), deliveries_max=limits.PATIENCE_MAX),
    Consumer("http", "SAY", ("say.http.>",), deliveries_max=limits.PATIENCE_MAX),
)
CONSUMER_BY_NAME = {consumer.name: consumer for consumer in CONSUMERS}


def consumer(name: str) -> Consumer:
    """The consumer of that name; `discord-<character>` exists for every character.

    Raises ConfigError for an unknown name.
    """
    if found := CONSUMER_BY_NAME.get(name):
        return found
    surface, _, character = name.partition("-")
    if surface == "discord" and subjects.TOKEN.fullmatch(character):
        filters = (f"say.discord.{character}.>",)
        return Consumer(name, "SAY", filters, deliveries_max=limits.PATIENCE_MAX)
    raise errors.ConfigError(f"no consumer named {name!r}: add it to svc/bus/streams.py")


def consumer_of(service: str, method: str) -> Consumer:
    """The queue group that `req.<service>.<method>.>` is worked off by."""
    return CONSUMER_BY_NAME.get(f"{service}-{method}") or consumer(service)


def stream_of(subject: str) -> str | None:
    """The stream that stores `subject`, or None for what is never stored."""
    for stream in STREAMS:
        if any(subjects.matches(pattern, subject) for pattern in stream.subjects):
            return stream.name
    return None


class Administrator(Protocol):
    """One request to the JetStream API. Raises ApiError when the server says no."""

    async def administer(self, endpoint: str, body: Mapping[str, Any]) -> dict[str, Any]: ...


class ApiError(bus_errors.NotAccepted):
    """The JetStream API refused a request."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"JetStream refused ({code}): {description}")
        self.code = code


STREAM_NAME_IN_USE = 10058


async def ensure(admin: Administrator) -> None:
    """Create or update every stream. May run twice and in several processes at once.

    Raises ConfigError when the server lacks a feature we rely on.
    """
    listed = await admin.administer("STREAM.LIST", {})
    existing = {item["config"]["name"]: item["config"] for item in listed.get("streams") or ()}
    for stream in STREAMS:
        wanted = stream.config()
        have = existing.get(stream.name)
        if have is not None and not _differences(wanted, have):
            continue
        answer = await _create_or_update(admin, stream.name, wanted, exists=have is not None)
        _verify(f"stream {stream.name}", wanted, answer["config"])


async def _create_or_update(
    admin: Administrator, name: str, wanted: Mapping[str, Any], *, exists: bool
) -> dict[str, Any]:
    if not exists:
        try:
            return await admin.administer(f"STREAM.CREATE.{name}", wanted)
        except ApiError as error:
            if error.code != STREAM_NAME_IN_USE:
                raise
    return await admin.administer(f"STREAM.UPDATE.{name}", wanted)


async def ensure_consumer(admin: Administrator, consumer: Consumer) -> None:
    """Create or update one durable consumer. May run twice. Raises ConfigError as `ensure` does."""
    wanted = consumer.config()
    endpoint = f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}"
    if len(consumer.filters) == 1:
        endpoint += f".{consumer.filters[0]}"
    answer = await admin.administer(endpoint, {"stream_name": consumer.stream, "config": wanted})
    _verify(f"consumer {consumer.name}", wanted, answer["config"])


def _differences(wanted: Mapping[str, Any], have: Mapping[str, Any]) -> list[str]:
    return [
        key
        for key, value in wanted.items()
        if have.get(key, None) != value and not (value in (-1, 0, False) and key not in have)
    ]


def _verify(what: str, wanted: Mapping[str, Any], have: Mapping[str, Any]) -> None:
    if wrong := _differences(wanted, have):
        details = ", ".join(f"{key}={json.dumps(have.get(key))}" for key in wrong)
        raise errors.ConfigError(
            f"the NATS server does not support what {what} needs ({details}): use nats-server 2.12 or newer"
        )
