"""Staying logged in: a supervised connection, with a fatal end only where waiting can't help."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

import anyio
import discord

from svc import errors
from svc.bus import errors as bus_errors
from svc.discord import client, settings
from svc.wire import status

log = logging.getLogger(__name__)

FIRST_DELAY_S = 1.0
DELAY_MAX_S = 300.0
"""288 logins a day: Discord resets the token of a bot that identifies 1,000 times."""
CLOSE_S = 5.0
RETRY_S = 5.0
"""When a `say` that found no connection is delivered again."""
CLOSE_AUTHENTICATION = 4004
PORTAL = "https://discord.com/developers/applications"


def delay_s(failures: int, luck: float) -> float:
    """How long to wait after that many failures in a row (1, 2, …); `luck` (0–1) spreads three bots apart."""
    full = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 20), DELAY_MAX_S)
    return full * (0.75 + luck / 4)


class Login:
    """`run` belongs in the background; `connection` is how others get at the client of the moment."""

    def __init__(
        self,
        own: settings.Settings,
        heard: Callable[[discord.Message], None],
        identified: Callable[[int], None],
    ) -> None:
        """`heard` gets every message in order; `identified` our user id at every new session."""
        self._settings = own
        self._heard = heard
        self._identified = identified
        self._client: client.Client | None = None
        self._up = anyio.Event()
        self._reason = "logging in"
        self.logins = 0

    async def run(self) -> None:
        """Log in, again and again.

        Raises ConfigError for what only the owner can fix: a wrong token, an intent that isn't switched on.
        """
        failures = 0
        while True:
            self.logins += 1
            current = self._client = client.Client(self._heard, self._connected)
            try:
                self._reason = await self._live(current)
            finally:
                self._client = None
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await current.close()
            failures = 1 if self._up.is_set() else failures + 1
            if self._up.is_set():
                self._up = anyio.Event()
            delay = delay_s(failures, random.random())
            character = self._settings.character
            log.warning("%s lost Discord (%s), next try in %.0f s", character, self._reason, delay)
            await anyio.sleep(delay)

    async def connection(self, within_s: float) -> discord.Client:
        """The client, once it is connected. Raises Retry if that takes too long.

        It stays usable for posting while its gateway reconnects.
        """
        with anyio.move_on_after(within_s):
            await self._up.wait()
        if self._client is None or not self._up.is_set():
            raise bus_errors.Retry(f"not connected to Discord: {self._reason}", after_s=RETRY_S)
        return self._client

    def connected(self) -> bool:
        return self._client is not None and self._up.is_set() and not self._client.lost_at

    def health(self) -> status.Health:
        if self.connected():
            return status.Health()
        if self._client is None or not self._up.is_set():
            reason = f"not connected to Discord: {self._reason}"
        else:
            reason = (
                f"Discord's gateway was lost {time.time() - self._client.lost_at:.0f} s ago: reconnecting"
            )
        return status.Health(level="degraded", reasons=(reason,))

    def _connected(self, user: discord.ClientUser) -> None:
        log.info("%s is on Discord as %s (%s)", self._settings.character, user.name, user.id)
        self._identified(user.id)
        self._up.set()

    async def _live(self, current: client.Client) -> str:
        """Run a client until it ends, and say why it did."""
        own = self._settings
        try:
            await current.start(own.discord_token)
        except discord.LoginFailure:
            raise token_refused(own.character) from None
        except discord.PrivilegedIntentsRequired:
            raise intent_refused(own.character) from None
        except discord.ConnectionClosed as closed:
            if closed.code == CLOSE_AUTHENTICATION:
                raise token_refused(own.character) from None
            return f"closed with code {closed.code}"
        except Exception as error:
            # Anything may come out of discord.py here: OSError and ClientError while the network is away, but
            # also AttributeError (its issue 10520) or whatever one malformed event made its parser raise.
            return f"{type(error).__name__}: {error}".replace(own.discord_token, "…")
        return "the connection ended"


def token_refused(character: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"Discord refuses the token of {character}: open {PORTAL}, choose its application, Bot, Reset Token, "
        f"and put the new one into .env as {settings.token_name(character)}"
    )


def intent_refused(character: str) -> errors.ConfigError:
    return errors.ConfigError(
        f"Discord won't let {character} read messages: open {PORTAL}, choose its application, Bot, switch on "
        "Message Content Intent, save, and start again"
    )
