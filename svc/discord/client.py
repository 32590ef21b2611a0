"""One login of discord.py: which events are asked for, and where they go."""

from __future__ import annotations

import time
from collections.abc import Callable

import discord

# Nobody talks to the cast by voice; without this every start warns that voice libraries are missing.
discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


class Client(discord.Client):
    """Lives from one login to its end; a dead one is replaced, never revived."""

    def __init__(
        self, heard: Callable[[discord.Message], None], connected: Callable[[discord.ClientUser], None]
    ) -> None:
        """`heard` gets every message in order, `connected` is told of every new session who we are."""
        super().__init__(
            intents=discord.Intents(guilds=True, messages=True, message_content=True),
            allowed_mentions=discord.AllowedMentions.none(),
            max_messages=None,  # nothing is read back from the cache, and it would hold people's words
        )
        self._heard = heard
        self._connected = connected
        self.lost_at = 0.0
        """Unix seconds when the gateway was lost; 0 = it is there."""

    async def on_connect(self) -> None:
        """A new session. The guilds follow within moments, before any message."""
        self.lost_at = 0.0
        if self.user:
            self._connected(self.user)

    async def on_resumed(self) -> None:
        """The same session; what was missed meanwhile has been replayed."""
        self.lost_at = 0.0

    async def on_disconnect(self) -> None:
        self.lost_at = self.lost_at or time.time()

    async def on_message(self, message: discord.Message) -> None:
        self._heard(message)
