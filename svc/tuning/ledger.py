"""The ledger of outcomes: how turns ended, per character and arm, kept in STATE to survive restarts."""

from __future__ import annotations

import logging

import anyio
import msgspec

from svc.bus import api, errors, state, streams, subjects
from svc.wire import base, tuning, turn

log = logging.getLogger(__name__)

SEEN_MAX = 256
"""Turns remembered per tally, so that a repeated outcome isn't counted twice: far more than ever repeat."""
BASE = "base"
TRIES = 5
PREFIX = "tuning.tally"


class Kept(msgspec.Struct, frozen=True):
    """A tally as stored."""

    tally: tuning.Tally
    seen: tuple[str, ...] = ()


class Ledger:
    def __init__(self, bus: api.Bus) -> None:
        self._bus = bus
        self._state = bus.state
        self._lock = anyio.Lock()

    async def record(self, ended: turn.Ended) -> None:
        """Count one outcome. May run twice. Raises Retry when others kept writing at the same time."""
        async with self._lock:
            for _ in range(TRIES):
                if await self._try(ended):
                    return
        raise errors.Retry("the tally is being written by others")

    async def _try(self, ended: turn.Ended) -> bool:
        name = key(ended.character, ended.arm or BASE)
        entry = await self._state.get(name)
        kept = _kept(entry, ended)
        if ended.turn in kept.seen:
            return True
        tally = added(kept.tally, ended)
        seen = (*kept.seen, ended.turn)[-SEEN_MAX:]
        revision = entry.revision if entry else 0
        written = await self._state.put(name, Kept(tally, seen), revision=revision)
        return written is not None

    async def tallies(self, character: str = "") -> tuple[tuning.Tally, ...]:
        """Of one character, or of all (""): as STATE has them now, whoever wrote them."""
        found = []
        async for stored in self._bus.scan("KV_STATE", (f"{streams.STATE_PREFIX}{PREFIX}.>",)):
            try:
                tally = base.decode(stored.data, Kept).tally
            except msgspec.MsgspecError as error:
                log.warning("%s is no tally: %s", stored.subject, error)
                continue
            if character in ("", tally.character):
                found.append(tally)
        return tuple(sorted(found, key=lambda tally: (tally.character, tally.arm)))


def _kept(entry: state.Entry | None, ended: turn.Ended) -> Kept:
    """What can't be read is begun anew: or no outcome of that character could ever be counted again."""
    if entry is not None:
        try:
            return base.decode(entry.data, Kept)
        except msgspec.MsgspecError as error:
            log.warning("the tally of %s is begun anew: %s", ended.character, error)
    return Kept(_empty(ended))


def key(character: str, arm: str) -> str:
    """Raises ValueError for what can't be the id of a character."""
    if not subjects.TOKEN.fullmatch(character):
        raise ValueError(f"{character!r} is not the id of a character")
    return f"{PREFIX}.{character}.{arm if subjects.TOKEN.fullmatch(arm) else subjects.short_hash(arm)}"


def _empty(ended: turn.Ended) -> tuning.Tally:
    return tuning.Tally(character=ended.character, arm=ended.arm or BASE)


def added(tally: tuning.Tally, ended: turn.Ended) -> tuning.Tally:
    """The tally with one more outcome; pure."""
    failures = dict(tally.failures)
    for attempt in ended.attempts:
        if not attempt.accepted:
            cause = attempt.cause or "service"
            failures[cause] = failures.get(cause, 0) + 1
    return msgspec.structs.replace(
        tally,
        turns=tally.turns + 1,
        accepted=tally.accepted + (ended.outcome == "answered"),
        attempts=tally.attempts + len(ended.attempts),
        score_sum=tally.score_sum + (ended.verdict.score if ended.verdict else 0.0),
        failures=failures,
    )
