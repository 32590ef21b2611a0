"""What works: advice before an attempt, a report about the past."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.characters import Sampling


class Failure(Wire, frozen=True, kw_only=True):
    """Why an earlier attempt of the same turn was refused."""

    attempt: int
    component: str
    """`authenticity`, `flow`, `engagement`, `hallucination`, `toxicity`, or a hard stop's name."""
    reason: str = ""


class AdviseRequest(Wire, frozen=True, kw_only=True):
    """`req.tuning.advise`: how should this attempt be made?"""

    character: str
    origin: str = "user"
    attempt: Annotated[int, Meta(ge=1, le=10)] = 1
    topic: str = ""
    failures: tuple[Failure, ...] = ()


class Advice(Wire, frozen=True, kw_only=True):
    """Base advice has no guidance and no overrides."""

    arm: str = "base"
    """The variant chosen, by name."""
    guidance: tuple[str, ...] = ()
    """Sentences added to the prompt."""
    sampling: Sampling = Sampling()
    """Overrides; None keeps the pack's value."""
    reason: str = ""
    cached: bool = False


class ReportRequest(Wire, frozen=True, kw_only=True):
    """`req.tuning.report`: what was learned about a character ("" = all)."""

    character: str = ""


class Tally(Wire, frozen=True, kw_only=True):
    """Outcomes of one (character, arm)."""

    character: str
    arm: str
    turns: int = 0
    accepted: int = 0
    attempts: int = 0
    score_sum: float = 0.0
    failures: dict[str, int] = {}
    """Component or hard stop -> times it refused an attempt."""


class Report(Wire, frozen=True, kw_only=True):
    tallies: tuple[Tally, ...] = ()
