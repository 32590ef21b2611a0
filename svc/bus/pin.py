"""Who is served by a pinned consumer, as far as this process knows.

The server names the one it serves with the first message it gives it, and refuses that name (423) once
somebody else is served; in between, and to all who wait, it only tells when it is asked.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import anyio
import msgspec

from svc.bus import errors, streams

if TYPE_CHECKING:
    from svc.bus import jetstream

LOOK_S = 2.0
"""The server is asked at most this often."""
ANSWER_S = 0.5
"""Its answer is not awaited longer: the pull that follows keeps the pin, and must not come too late."""
STALE_S = 5.0
"""Nothing heard for so long: the process was stopped or the broker is away, and another may be served now."""


class Pin:
    """Of one consumer in one process."""

    def __init__(self, jet: jetstream.JetStream, consumer: streams.Consumer) -> None:
        self._jet = jet
        self._place = f"{consumer.stream}.{consumer.name}"
        self.id = ""
        """Ours, to be sent with every pull; "" = we never had it, or lost it."""
        self._holder = ""
        """Of whoever is served; "" = nobody."""
        self._looked_at = 0.0
        self._known_at = 0.0
        self._wins = 0

    @property
    def active(self) -> bool | None:
        """Whether we are served; None while nobody is (the next message decides), or nobody knows."""
        known = self._holder and time.monotonic() - self._known_at < STALE_S
        return self._holder == self.id if known else None

    def won(self, pin: str) -> None:
        self._wins += 1
        self._known_at = time.monotonic()
        self.id = self._holder = pin

    def lost(self) -> None:
        """Refused: somebody else is served, or nobody. Ask at once."""
        self.id = ""
        self._looked_at = 0.0

    async def look(self) -> None:
        """Ask the server, unless that was done a moment ago."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at, wins = now, self._wins
        # Whatever the trouble is, the pull that follows meets it too.
        with contextlib.suppress(errors.BusError), anyio.move_on_after(ANSWER_S):
            info = await self._jet.administer(f"CONSUMER.INFO.{self._place}", {})
            if wins == self._wins:  # else the answer is older than what we know
                self._holder = str(info["priority_groups"][0].get("pinned_client_id", ""))
                self._known_at = time.monotonic()

    async def release(self) -> None:
        """Give it up, so that another is served at once. Nothing happens when it isn't ours."""
        if self.active:
            self.id = self._holder = ""
            body = msgspec.json.encode({"group": streams.PIN_GROUP})
            await self._jet.cast(f"$JS.API.CONSUMER.UNPIN.{self._place}", body)
