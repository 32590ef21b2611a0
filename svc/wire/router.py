"""The synchronous door: say something, wait for the answer."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from svc.wire.base import Wire
from svc.wire.message import Author
from svc.wire.turn import Ended

SURFACE = "http"
"""The surface whose messages come through this door: the command line, the bridge, scripts."""
TEXT_CHARS_MAX = 4000
"""Longest message a person may send (Discord's own limit with Nitro)."""


class OrchestrateRequest(Wire, frozen=True, kw_only=True):
    """`req.router.orchestrate.<turn>.0` and `POST /orchestrate`."""

    character: str
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARS_MAX)]
    author: Author = Author(id="local", name="You")
    channel: str = ""
    """Name of the conversation, shared by all who use this door; "" = one of its own."""
    native: str = ""
    """The caller's id of the message; the same id to the same character is the same turn. "" = no id."""


class Orchestrated(Wire, frozen=True, kw_only=True):
    """How it ended, and for scripts the few things they want at the top."""

    turn: str
    character: str
    text: str
    accepted: bool
    """True when `text` is an answer that passed the gate; False for a fallback line or silence."""
    attempts: int
    score: float
    ms: float
    ended: Ended
