"""STATE: the key-value bucket of what must outlive the cache, with compare-and-set, and leases on top of it.

It is a JetStream key-value bucket (`nats kv ls STATE` shows it); a key is one subject whose last message is
the value, so a compare-and-set is a publish that expects the last sequence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Literal

import msgspec

from svc.bus import broker, errors, limits, streams
from svc.wire import base

KEY = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    data: bytes
    revision: int
    """Sequence of the last write: what a compare-and-set must name."""


class State:
    def __init__(self, source: broker.Broker) -> None:
        self._broker = source

    def now(self) -> float:
        """By the broker's clock, which everybody who holds something goes by."""
        return self._broker.now()

    async def get(self, key: str) -> Entry | None:
        message = await self._broker.last(_subject(key))
        return None if message is None else Entry(message.data, message.sequence)

    async def put(self, key: str, value: msgspec.Struct, *, revision: int | None = None) -> int | None:
        """Write `value`; its new revision.

        With `revision` (0 = must not exist) only when nobody wrote since: None means somebody did.
        """
        try:
            return await self._broker.append(_subject(key), base.encode(value), {}, expect=revision)
        except errors.AlreadyRecorded:
            return None


def _subject(key: str) -> str:
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not a key: dotted words of A-Z a-z 0-9 _ -")
    return streams.STATE_PREFIX + key


class Lease(msgspec.Struct, frozen=True):
    """Who holds something, and until when (Unix seconds, the broker's clock)."""

    owner: str
    until: float


def _lease(entry: Entry | None) -> Lease:
    """What can't be read is nobody's, or nobody could ever have it."""
    if entry is not None:
        with contextlib.suppress(msgspec.MsgspecError):
            return base.decode(entry.data, Lease)
    return Lease("", 0.0)


Hold = Literal["held", "taken", "denied"]


class Leases:
    """Exclusive, expiring ownership of names: one writer per channel, over any number of processes."""

    def __init__(self, store: State, owner: str, seconds: float = limits.LEASE_S) -> None:
        self._state = store
        self._owner = owner
        self._seconds = seconds
        self._held: dict[str, tuple[float, int]] = {}

    async def acquire(self, name: str) -> Hold:
        """`held` = ours without a break, `taken` = ours anew (others may have written), `denied` = not ours.

        Ours for at least half its time. Costs nothing while we hold it.
        """
        now = self._state.now()
        until, revision = self._held.get(name, (0.0, 0))
        if until - now > self._seconds / 2:
            return "held"
        if until <= now:
            entry = await self._state.get(name)
            revision = entry.revision if entry else 0
            held = _lease(entry)
            if held.owner != self._owner and held.until > now:
                return "denied"
        lease = Lease(self._owner, self._state.now() + self._seconds)
        written = await self._state.put(name, lease, revision=revision)
        if written is None:
            self._held.pop(name, None)
            return "denied"
        if lease.until <= self._state.now():  # the write took longer than the lease
            return "denied"
        self._held[name] = (lease.until, written)
        return "held" if until > now else "taken"

    def holds(self, name: str) -> bool:
        """Whether it is ours right now, as far as we know."""
        return self._held.get(name, (0.0, 0))[0] > self._state.now()

    async def release(self) -> None:
        """Give up what we hold, so that the next process need not wait for it to run out."""
        held, self._held = self._held, {}
        for name, (until, revision) in held.items():
            if until > self._state.now():
                await self._state.put(name, Lease(self._owner, 0.0), revision=revision)

    def forget(self) -> None:
        """Drop what has run out, so that idle names cost no memory."""
        now = self._state.now()
        self._held = {name: held for name, held in self._held.items() if held[0] > now}
