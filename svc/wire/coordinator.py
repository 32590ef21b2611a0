"""Who speaks next; and the history of a channel."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.message import Author, Heard, Utterance


class HistoryRequest(Wire, frozen=True, kw_only=True):
    """`req.coordinator.history`: what was said in a channel."""

    channel: str
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class History(Wire, frozen=True, kw_only=True):
    channel: str
    utterances: tuple[Utterance, ...] = ()
    """Oldest first."""


class FloorRequest(Wire, frozen=True, kw_only=True):
    """`req.coordinator.floor`: who has the floor? Asked before a planned turn speaks."""

    channel: str


class Floor(Wire, frozen=True, kw_only=True):
    channel: str
    since: int = 0
    """The newest line of a person, as a sequence of RECORD; 0 = no person spoke in the last 24 hours."""


class CueRequest(Wire, frozen=True, kw_only=True):
    """`req.coordinator.cue`: let a character say something of its own accord, a little later."""

    character: str
    surface: str
    channel: str
    text: str
    """What it reacts to: the last thing said, or a topic."""
    author: Author
    """Who said that."""
    in_s: Annotated[float, Meta(ge=0.0, le=3600.0)] = 4.0
    origin: Literal["organic", "idle"] = "organic"
    guild: str = ""
    native: str = ""
    """The surface's id of the message it reacts to; "" = none."""


class Cued(Wire, frozen=True, kw_only=True):
    """The plan. It is dropped when a person speaks in the channel before it is carried out."""

    turn: str
    at: float
    """Unix seconds."""
    since: int = 0


class DecideRequest(Wire, frozen=True, kw_only=True):
    """`req.coordinator.decide`: who would answer this? Decides nothing for real: a dry run."""

    heard: Heard


class Decision(Wire, frozen=True, kw_only=True):
    """`evt.decision.made.<message>.<revision>`: who answers, and why the others stay silent."""

    message: str
    channel: str
    speakers: tuple[str, ...] = ()
    turns: tuple[str, ...] = ()
    """The ids of the published turns, in the order of `speakers`."""
    reasons: dict[str, str] = {}
    """Character id -> why it speaks or stays silent."""
