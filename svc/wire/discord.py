"""The Discord surface: who is who."""

from __future__ import annotations

from svc.wire.base import Wire


class Identified(Wire, frozen=True, kw_only=True):
    """`evt.service.identified.<user id>.<unix ms>`: this user is one of the cast.

    The last announcement of a character counts.
    """

    character: str
    user: str
    """Discord's id of the bot."""
