"""What a service is made of: a table of answers, a table of things it listens to, and its health.

A handler is a plain coroutine: `async def assess(request: AssessRequest, job: Job) -> Assessment`.
Its return value is the ack: return = done (the reply is recorded, then the message is acked);
`errors.Refused` = the recorded answer is no (what a listener refuses is buried); `errors.Retry` = deliver
again later; any other exception = buried in `DEAD` with the reason, and the caller is refused with the code
`buried`. It may run twice for one request (a process was killed between the work and the record), but only
the first recorded reply counts.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from svc import cache, config
from svc.bus import limits
from svc.wire import status

if TYPE_CHECKING:
    import anyio.abc

    from svc.bus import api, job

Q = TypeVar("Q", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

SLOTS = 16
"""Messages a process works on at once, per consumer, where a service says nothing else."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer(Generic[Q, R]):
    """`req.<service>.<method>.…` in, `rep.<service>.<method>.…` out."""

    method: str
    request: type[Q]
    response: type[R]
    handler: Callable[[Q, job.Job], Awaitable[R]]
    slots: int = SLOTS
    paid: bool = False
    """The work costs more than a look into the record (0.5 ms): always look first, never do it twice."""
    stall_s: float = limits.STALL_S
    """The longest that the handler may honestly be without progress."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listen(Generic[Q]):
    """Everything under `subject` (the first tokens, such as `evt.message.heard`) that `consumer` delivers."""

    consumer: str
    """Name of a durable consumer in `streams.CONSUMERS`."""
    subject: str
    body: type[Q]
    handler: Callable[[Q, job.Job], Awaitable[None]]
    slots: int = SLOTS
    buried: Callable[[Q, job.Job, str], Awaitable[None]] | None = None
    """Last words: called with the reason once a message has been buried, before it is acked, so that what
    others wait for (a turn's outcome) is recorded all the same. May run twice, and after the deadline; has
    `limits.LAST_WORDS_S`. Not called for a body that is no `body`. What it raises of the bus's own trouble
    brings the message back; anything else is logged, and the message stays buried."""


def healthy() -> status.Health:
    return status.Health()


def silently(_text: str) -> None:
    """Nobody watches."""


def nothing() -> Mapping[str, float]:
    return {}


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One service of one process, ready to be served."""

    name: str
    answers: tuple[Answer[Any, Any], ...] = ()
    listens: tuple[Listen[Any], ...] = ()
    health: Callable[[], status.Health] = healthy
    counters: Callable[[], Mapping[str, float]] = nothing
    """Totals under Prometheus names (`llm_tokens_total`), read when somebody asks."""
    gauges: Callable[[], Mapping[str, float]] = nothing
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    """Effective settings, already without secrets (`config.shown`)."""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    """What tells this instance from others of the same name (`character`)."""
    describe: str = ""
    """One sentence for `nats micro info`."""


@dataclasses.dataclass(frozen=True, slots=True)
class App:
    """What the host gives to a service's composition root."""

    bus: api.Bus
    cache: cache.Cache
    common: config.Common
    tasks: anyio.abc.TaskGroup
    """For background work that lives as long as the process."""
    tell: Callable[[str], None] = silently
    """Says what takes so long, to whoever watches the start ("loading the model")."""


Opener = Callable[[App], contextlib.AbstractAsyncContextManager[Service]]
"""The door of a service module: `svc.<name>.service.open`, an async context manager yielding its Service."""

Opened = AsyncIterator[Service]
