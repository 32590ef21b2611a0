"""The Discord surface: who is who, and what could not be posted."""

from __future__ import annotations

from typing import Literal

from svc.wire.base import Wire


class Identified(Wire, frozen=True, kw_only=True):
    """`evt.service.identified.<user id>.<unix ms>`: this user is one of the cast.

    The last announcement of a character counts.
    """

    character: str
    user: str
    """Discord's id of the bot."""


class Undelivered(Wire, frozen=True, kw_only=True):
    """`evt.turn.undelivered.<turn>.<piece>`: from this piece on, nothing of the turn was posted."""

    turn: str
    piece: int
    channel: str
    character: str
    reason: Literal["expired", "forbidden", "unknown_channel", "unsure"]
    """`unsure`: it may have been posted before, and the channel's history couldn't say."""
    guild: str = ""
    detail: str = ""
    """One line for a person."""
    at: float = 0.0
