"""The circumstances of one delivery, handed to a handler beside the message."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from svc.bus import limits, subjects

if TYPE_CHECKING:
    from svc.bus import api

FRESH_S = 1.0
"""Younger than this and delivered for the first time, a message was hardly worked on before."""


@dataclasses.dataclass(slots=True)
class Job:
    """One delivery of one message."""

    bus: api.Bus
    subject: subjects.Subject
    deadline: float
    """Unix seconds; the work is worth nothing after it and is cancelled then."""
    stored_at: float
    """Unix seconds, the broker's clock."""
    sequence: int
    """Its place in the stream; of a retried dead letter the place that it had before it was buried."""
    deliveries: int
    deliveries_max: int = limits.DELIVERIES_MAX
    """Delivered more often than this, it is buried."""
    first_at: float = 0.0
    """When it was stored at first, Unix seconds: `stored_at`, or before that for a retried dead letter."""
    crashes: int = 0
    """Processes known to have ended or hung while they worked on it, the first deliveries not counted."""
    repeated: bool = False
    """The caller says that it asked before."""
    traceparent: str = ""
    now: Callable[[], float] = time.time
    """The broker's clock, by which all these times are."""
    progressed_at: float = dataclasses.field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.first_at = self.first_at or self.stored_at

    def left_s(self) -> float:
        """Seconds until the deadline; negative once it has passed."""
        return self.deadline - self.now()

    def maybe_repeated(self) -> bool:
        """Whether somebody may have worked on this message before: then look into the record first.

        Delivery counts live in the broker's consumer state, which is not synced to disk: after a crash a
        message comes back as if it were new. So an old message counts as repeated too.
        """
        return self.repeated or self.deliveries > 1 or self.now() - self.stored_at > FRESH_S

    def progress(self) -> None:
        """Say that the work moves on (a token came, a step finished): this is what renews the lease."""
        self.progressed_at = time.monotonic()
