"""The gate: may this be said?"""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire
from svc.wire.message import Utterance
from svc.wire.retriever import Passage


class AssessRequest(Wire, frozen=True, kw_only=True):
    """`req.quality.assess`: judge every candidate, pick the best."""

    character: str
    replies: tuple[str, ...]
    user: str
    author: str = ""
    """Display name of whoever is answered; data."""
    history: tuple[Utterance, ...] = ()
    passages: tuple[Passage, ...] = ()
    kind: Literal["user", "organic"] = "user"
    heard: int = 0
    """Messages in the conversation so far: 0–6 cold, 7–20 warm, 21+ hot."""
    guild: str = ""
    fresh: bool = False
    """True bypasses the assessment cache (every retry)."""


class Component(Wire, frozen=True, kw_only=True):
    """One of the five weighted parts, 0–100, and what was found."""

    name: Literal["authenticity", "flow", "engagement", "hallucination", "toxicity"]
    score: float
    weight: float
    floor: float = 0.0
    """Below this it is a hard stop, whatever the total."""
    found: tuple[str, ...] = ()


class Verdict(Wire, frozen=True, kw_only=True):
    """The judgement of one reply."""

    accepted: bool
    score: float
    """Weighted total, 0–100."""
    threshold: float
    components: tuple[Component, ...] = ()
    stop: str = ""
    """Name of the hard stop that ended the analysis early, if one did."""
    reason: str = ""
    """One sentence: why it was refused."""


class Assessment(Wire, frozen=True, kw_only=True):
    verdicts: tuple[Verdict, ...]
    """One per reply, in order."""
    best: int = 0
    """Index of the reply to prefer: the best accepted, else the best of the refused."""
    cached: bool = False
