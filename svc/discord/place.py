"""How Discord's ids are written on the bus."""

from __future__ import annotations

SURFACE = "discord"


def scoped(channel_id: int) -> str:
    """`discord-<channel id>`: two surfaces never share a history."""
    return f"{SURFACE}-{channel_id}"


def native(channel: str) -> int:
    """The Discord channel id in a scoped one. Raises ValueError for another surface's."""
    surface, _, channel_id = channel.partition("-")
    if surface != SURFACE or not channel_id.isdecimal():
        raise ValueError(f"{channel!r} is not a channel on Discord")
    return int(channel_id)
