"""Liveness by ADR-32: every process answers `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, so `nats micro` works.

nats.micro serves core NATS endpoints only and cancels running handlers at stop, so we answer ourselves.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
from collections.abc import AsyncIterator, Callable

import anyio
import msgspec

from svc.bus import api, broker, limits, service, streams, subjects
from svc.wire import base, status

PREFIX = "$SRV"
VERBS = ("PING", "INFO", "STATS")
NANO_PER_MS = 1_000_000


@dataclasses.dataclass(slots=True)
class Tally:
    """What one method of this process did."""

    requests: int = 0
    failures: int = 0
    ms: float = 0.0
    last_error: str = ""

    def count(self, ms: float, error: str = "") -> None:
        self.requests += 1
        self.ms += ms
        if error:
            self.failures += 1
            self.last_error = error


def version() -> str:
    """The installed version; ADR-32 demands semantic versioning."""
    try:
        return importlib.metadata.version("quahog")
    except importlib.metadata.PackageNotFoundError:
        return "0.0.0"


class Responder:
    """Answers for one service of this process."""

    def __init__(
        self,
        source: broker.Broker,
        instance: str,
        served: service.Service,
        tallies: dict[str, Tally],
        pinned: Callable[[str], bool | None],
        hanging: Callable[[], tuple[str, ...]],
    ) -> None:
        self._broker = source
        self._instance = instance
        self._service = served
        self._tallies = tallies
        self._pinned = pinned
        """Whether this process is the one that works off the consumer of that name."""
        self._hanging = hanging
        """Handlers that make no progress, one sentence each."""
        self._started = datetime.datetime.now(datetime.UTC).isoformat().replace("+00:00", "Z")
        self._outbox: list[tuple[str, bytes]] = []
        self._wake = anyio.Event()

    @contextlib.asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        """Answer while the block runs."""
        subscriptions = [
            await self._broker.subscribe(f"{PREFIX}.{verb}{suffix}", self._asked)
            for verb in VERBS
            for suffix in ("", f".{self._service.name}", f".{self._service.name}.{self._instance}")
        ]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    for subscription in subscriptions:
                        await subscription.close()

    def _asked(self, message: api.Message, reply: str) -> None:
        if not reply:
            return
        verb = message.subject.split(".")[1]
        answer = {"PING": self._ping, "INFO": self._info, "STATS": self.stats}[verb]()
        self._outbox.append((reply, base.encode(answer)))
        self._wake.set()

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            pending, self._outbox = self._outbox, []
            for reply, data in pending:
                await self._broker.cast(reply, data)

    def _identity(self, kind: str) -> dict[str, object]:
        return {
            "type": f"io.nats.micro.v1.{kind}_response",
            "name": self._service.name,
            "id": self._instance,
            "version": version(),
            "metadata": dict(self._service.metadata),
        }

    def _ping(self) -> dict[str, object]:
        return self._identity("ping")

    def _info(self) -> dict[str, object]:
        endpoints = [
            {
                "name": answer.method,
                "subject": self._subject(answer.method),
                "queue_group": streams.consumer_of(self._service.name, answer.method).name,
                "metadata": {
                    "transport": "jetstream",
                    "request_schema": _schema(answer.request),
                    "response_schema": _schema(answer.response),
                },
            }
            for answer in self._service.answers
        ]
        return {**self._identity("info"), "description": self._service.describe, "endpoints": endpoints}

    def _subject(self, method: str) -> str:
        return f"req.{self._service.name}.{method}.*.*"

    def stats(self) -> status.Stats:
        """The full answer, also used by the process itself (metrics)."""
        return status.Stats(
            name=self._service.name,
            id=self._instance,
            version=version(),
            started=self._started,
            metadata=dict(self._service.metadata),
            endpoints=tuple(self._endpoint(name, tally) for name, tally in self._tallies.items()),
            vitals=status.Vitals(
                health=worse(punctual(self._service.health(), self._broker.skew_s()), self._hanging()),
                counters=dict(self._service.counters()),
                gauges=dict(self._service.gauges()),
                config=dict(self._service.settings),
            ),
        )

    def _endpoint(self, name: str, tally: Tally) -> status.Endpoint:
        answered = any(answer.method == name for answer in self._service.answers)
        group = streams.consumer_of(self._service.name, name) if answered else None
        return status.Endpoint(
            name=name,
            subject=self._subject(name) if answered else name,
            queue_group=group.name if group else "",
            data=status.Pin(pinned=self._pinned(group.name)) if group and group.pinned else None,
            num_requests=tally.requests,
            num_errors=tally.failures,
            last_error=tally.last_error,
            processing_time=int(tally.ms * NANO_PER_MS),
            average_processing_time=int(tally.ms / tally.requests * NANO_PER_MS) if tally.requests else 0,
        )


def punctual(health: status.Health, skew_s: float) -> status.Health:
    """What a service says of itself, and what its clock adds to that."""
    if abs(skew_s) <= limits.CLOCK_SKEW_MAX_S:
        return health
    side = "behind" if skew_s > 0 else "ahead of"
    reason = (
        f"the clock of this machine is {abs(skew_s):.1f} s {side} the broker's: set both by NTP "
        "(systemd-timesyncd or chrony)"
    )
    return worse(health, (reason,))


def worse(health: status.Health, reasons: tuple[str, ...]) -> status.Health:
    """The same with more reasons not to be well."""
    level: status.Level = "degraded" if reasons and health.level == "ok" else health.level
    return status.Health(level=level, reasons=(*health.reasons, *reasons))


def _schema(kind: type[msgspec.Struct]) -> str:
    return base.encode(msgspec.json.schema(kind)).decode()


async def survey(source: broker.Broker, within_s: float) -> tuple[status.Stats, ...]:
    """Ask everybody for their stats and collect what comes within that time, sorted by name and id."""
    found: dict[str, status.Stats] = {}

    def arrived(message: api.Message, _reply: str) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            stats = base.decode(message.data, status.Stats)
            found[f"{stats.name}/{stats.id}"] = stats

    inbox = f"_INBOX.survey.{subjects.short_hash(str(anyio.current_time()), str(id(found)))}"
    subscription = await source.subscribe(inbox, arrived)
    try:
        await source.cast(f"{PREFIX}.STATS", b"", reply=inbox)
        await anyio.sleep(within_s)
    finally:
        with anyio.CancelScope(shield=True):
            await subscription.close()
    return tuple(found[key] for key in sorted(found))
