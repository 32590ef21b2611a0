"""Who speaks next; and the history of a channel."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.message import Heard, Utterance


class HistoryRequest(Wire, frozen=True, kw_only=True):
    """`req.coordinator.history`: what was said in a channel."""

    channel: str
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class History(Wire, frozen=True, kw_only=True):
    channel: str
    utterances: tuple[Utterance, ...] = ()
    """Oldest first."""


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
