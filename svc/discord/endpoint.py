"""Which Discord: the real one, or a compatible server named in the settings."""

from __future__ import annotations

import discord
import discord.gateway
import discord.http
import yarl

from svc import errors


def choose(api: str, gateway: str) -> None:
    """Point every client of this process at another server; both empty = leave them at Discord itself.

    There is no public way, so two internals of discord.py are set; ConfigError if a new version moved them.
    """
    if not api:
        return
    route, socket = discord.http.Route, discord.gateway.DiscordWebSocket
    if not hasattr(route, "BASE") or not hasattr(socket, "DEFAULT_GATEWAY"):
        raise errors.ConfigError(
            f"discord.py {discord.__version__} can't be pointed at another server: "
            "unset QUAHOG_DISCORD_API and QUAHOG_DISCORD_GATEWAY, or install discord.py 2.7"
        )
    route.BASE = api.rstrip("/")
    socket.DEFAULT_GATEWAY = yarl.URL(gateway)
