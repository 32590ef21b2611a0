"""A turn: one character may answer one message; and the single record of how it ended."""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire
from svc.wire.message import Author, Utterance
from svc.wire.quality import Verdict
from svc.wire.retriever import Passage

Origin = Literal["user", "organic", "idle"]
Outcome = Literal["answered", "notice", "superseded", "cancelled", "shed", "expired"]


class Turn(Wire, frozen=True, kw_only=True):
    """The body of `turn.<origin>.<character>.<turn>.<n>`, published by the coordinator and nobody else.

    It carries the history as the coordinator had it, so a replay sees what the turn saw.
    """

    id: str
    origin: Origin
    character: str
    surface: str
    channel: str
    message: str
    """Bus id of the message that caused it."""
    text: str
    author: Author
    native: str = ""
    guild: str = ""
    history: tuple[Utterance, ...] = ()
    """Oldest first, newest last, without the message itself."""
    heard: int = 0
    """Messages in the channel's history so far: decides the quality threshold."""
    at: float = 0.0
    expires_at: float = 0.0
    """Unix seconds: when nobody wants the answer any more."""
    since: int = 0
    """Of a planned turn: the newest line of a person in the channel when it was planned, as a sequence of
    RECORD. Anything newer supersedes the turn."""


class Attempt(Wire, frozen=True, kw_only=True):
    """One try of the router, kept whether it passed or not."""

    n: int
    tier: Literal["standard", "enhanced", "aggressive"] = "standard"
    text: str = ""
    """Best candidate of this attempt."""
    score: float = 0.0
    threshold: float = 0.0
    accepted: bool = False
    reason: str = ""
    """Why it was refused, in one sentence, or what failed."""
    cause: str = ""
    """The hard stop or component that refused it, `service` when a step failed."""
    changed: tuple[str, ...] = ()
    """What this attempt did differently from the one before."""
    ms: float = 0.0


class Ended(Wire, frozen=True, kw_only=True):
    """`evt.turn.ended.<turn>.0`: how it ended. Written once; the first write decides for good."""

    turn: str
    outcome: Outcome
    character: str
    surface: str
    channel: str
    origin: Origin = "user"
    guild: str = ""
    message: str = ""
    native: str = ""
    text: str = ""
    """What is said, when anything is (`answered`, `notice`)."""
    attempts: tuple[Attempt, ...] = ()
    verdict: Verdict | None = None
    """The gate's verdict on `text`, when it is an answer."""
    passages: tuple[Passage, ...] = ()
    degraded: tuple[str, ...] = ()
    """Named degraded paths taken: `no_knowledge`, `base_advice`, `cached_pack`."""
    cached: bool = False
    arm: str = ""
    """The tuning variant that was in force."""
    model: str = ""
    reason: str = ""
    ms: float = 0.0
    """Milliseconds from the turn's store time to this record, waiting and takeovers included."""
    at: float = 0.0
    noted: dict[str, float | str] = {}
    """What the run saw that no reply records (clock, limits, the model known before), by name: with these
    and the recorded replies a replay comes to the same outcome, byte for byte."""
