"""Messages that end whoever takes them, told from messages that were given back for a good reason.

How often a message was delivered says nothing about how the deliveries ended. So whoever begins one that was
delivered more than `limits.TRUSTED_DELIVERIES` times signs for it, in the key-value bucket SUSPECT
(`nats kv ls SUSPECT`). Whoever comes through (done, or given back) clears the page; whoever is stopped takes
its own name back. Names that stay there belong to processes that died or hang. Our own name proves nothing,
as we live: a broker that was killed delivers again what is still being worked on.

A crash takes everything down that ran beside the poison. So what `limits.ALONE_CRASHES` others signed for is
tried alone, one such message after the other, and the innocent ones come through. With fewer signatures they
run side by side: after a few restarts in a row the answers under way must not come one by one.

All this is evidence, not accounting: while the bucket can't be reached, messages are worked on unsigned.
"""

from __future__ import annotations

import contextlib
import logging

import anyio
import msgspec

from svc.bus import broker, errors, limits, streams
from svc.wire import base

log = logging.getLogger(__name__)

STREAM = "KV_SUSPECT"
SIGN_S = 1.0
"""Signing takes 0.7 ms; what takes longer than this goes on without."""
TRIES = 5
WAITING_MAX = 8
"""Messages that wait in their slots to be tried alone; others come back later and leave the slots to those
that nobody died of."""


class Signed(msgspec.Struct, frozen=True):
    """Who began a message and didn't come back so far."""

    processes: tuple[str, ...] = ()


class Suspects:
    """What one process signs for."""

    def __init__(self, source: broker.Broker, instance: str) -> None:
        self._broker = source
        self._instance = instance
        self._tried = ""
        """The one suspect that is being tried alone here."""
        self._over = anyio.Event()
        """Set when that has come to its end."""
        self._waiting = 0

    async def begin(self, consumer: str, delivery: broker.Delivery) -> int:
        """Sign for a delivery: how many other processes had signed and didn't come back.

        Raises Retry when it must be tried alone, and others are before it.
        """
        subject = _subject(consumer, delivery)
        if await self._crashes(subject) >= limits.ALONE_CRASHES and not await self._alone(subject):
            raise errors.Retry("another message that ended a process is tried first", limits.QUARANTINE_S)
        others: tuple[str, ...] = ()
        with anyio.move_on_after(SIGN_S, shield=True), contextlib.suppress(errors.BusError):
            for _ in range(TRIES):
                signed, revision = await self._read(subject)
                others = self._others(signed)
                signs = (*others, self._instance)
                if len(others) < len(signed) or await self._write(subject, signs, revision):
                    break
        if others:
            log.warning("%s: begun by %s, who didn't come back", delivery.message.subject, ", ".join(others))
        return len(others)

    async def _crashes(self, subject: str) -> int:
        with anyio.move_on_after(SIGN_S), contextlib.suppress(errors.BusError):
            signed, _ = await self._read(subject)
            return len(self._others(signed))
        return 0

    def _others(self, signed: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in signed if name != self._instance)

    async def _alone(self, subject: str) -> bool:
        """Wait until nothing is tried alone here and take that place; False when it doesn't get free soon."""
        if self._waiting >= WAITING_MAX:
            return False
        self._waiting += 1
        try:
            with anyio.move_on_after(limits.QUARANTINE_S):
                while self._tried not in ("", subject):
                    await self._over.wait()
                self._tried = subject
                return True
            return False
        finally:
            self._waiting -= 1

    async def end(self, consumer: str, delivery: broker.Delivery, *, survived: bool) -> None:
        """Take our name back, and everybody's when the work came to its end. May run twice."""
        subject = _subject(consumer, delivery)
        if self._tried == subject:
            self._tried = ""
            self._over.set()
            self._over = anyio.Event()
        with anyio.move_on_after(SIGN_S, shield=True), contextlib.suppress(errors.BusError):
            for _ in range(TRIES):
                signed, revision = await self._read(subject)
                left = () if survived else tuple(name for name in signed if name != self._instance)
                if left == signed or await self._write(subject, left, revision):
                    break

    async def _read(self, subject: str) -> tuple[tuple[str, ...], int]:
        stored = await self._broker.last(subject)
        if stored is None:
            return (), 0
        with contextlib.suppress(msgspec.MsgspecError):
            return base.decode(stored.data, Signed).processes, stored.sequence
        return (), stored.sequence

    async def _write(self, subject: str, names: tuple[str, ...], revision: int) -> bool:
        """False when somebody else wrote since that revision."""
        if not names:
            return await self._broker.delete(STREAM, revision)
        try:
            await self._broker.append(
                subject, base.encode(Signed(names)), {}, expect=revision, within_s=SIGN_S
            )
        except errors.AlreadyRecorded:
            return False
        return True


def _subject(consumer: str, delivery: broker.Delivery) -> str:
    return f"{streams.SUSPECT_PREFIX}{consumer}.{delivery.message.sequence}"
