"""How a turn ends: one record, written once, and what is said because of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec

from svc.bus import api, limits, subjects
from svc.router import attempt, facts
from svc.wire import base, message, turn


def ended(turn_: turn.Turn, outcome: turn.Outcome, reason: str = "") -> turn.Ended:
    """The bare outcome of a turn, without words; `course` stamps it with the time."""
    return turn.Ended(
        turn=turn_.id,
        outcome=outcome,
        character=turn_.character,
        surface=turn_.surface,
        channel=turn_.channel,
        origin=turn_.origin,
        guild=turn_.guild,
        message=turn_.message,
        native=turn_.native,
        reason=reason,
    )


def answered(
    turn_: turn.Turn, gathered: facts.Facts, tried: Sequence[turn.Attempt], last: attempt.Result
) -> turn.Ended:
    """The last attempt passed the gate."""
    return msgspec.structs.replace(
        _with(ended(turn_, "answered"), gathered, tried),
        text=last.attempt.text,
        verdict=last.verdict,
        model=last.model,
    )


def fallback(turn_: turn.Turn, gathered: facts.Facts, tried: Sequence[turn.Attempt]) -> turn.Ended:
    """Nothing passed, and nothing unvalidated is ever posted.

    Who waits gets an honest line of the pack, marked as a notice; a planned turn is dropped.
    """
    reason = f"no draft passed in {len(tried)} attempts; last: {tried[-1].reason}"
    return _with(failed(turn_, gathered.prompt.fallbacks.failed, reason), gathered, tried)


def failed(turn_: turn.Turn, lines: Sequence[str], reason: str) -> turn.Ended:
    """A turn that comes to nothing: one of `lines`, if there are any, where somebody waits."""
    if turn_.origin != "user":
        return ended(turn_, "shed", reason)
    text = _one_of(turn_, lines) if lines else ""
    return msgspec.structs.replace(ended(turn_, "notice", reason), text=text)


def overloaded(
    turn_: turn.Turn, gathered: facts.Facts, tried: Sequence[turn.Attempt], *, aloud: bool
) -> turn.Ended:
    """The model's queue is full: said in character when `aloud`, else dropped without a word."""
    reason = tried[-1].reason
    bare = ended(turn_, "notice" if aloud else "shed", reason)
    text = _one_of(turn_, gathered.prompt.fallbacks.busy) if aloud else ""
    return msgspec.structs.replace(_with(bare, gathered, tried), text=text)


def _one_of(turn_: turn.Turn, lines: Sequence[str]) -> str:
    """The same line for the same turn, whoever ends it."""
    return random.Random(turn_.id).choice(lines)


def again(turn_: turn.Turn, remembered: turn.Ended) -> turn.Ended:
    """The same words for the same question in the same circumstances."""
    return msgspec.structs.replace(
        remembered,
        turn=turn_.id,
        surface=turn_.surface,
        channel=turn_.channel,
        message=turn_.message,
        native=turn_.native,
        cached=True,
    )


def _with(bare: turn.Ended, gathered: facts.Facts, tried: Sequence[turn.Attempt]) -> turn.Ended:
    return msgspec.structs.replace(
        bare,
        attempts=tuple(tried),
        passages=gathered.found.passages,
        degraded=tuple(gathered.degraded),
        arm=gathered.advice.arm,
    )


class Scribe:
    """Records outcomes and hands their words to the surface."""

    def __init__(self, bus: api.Bus) -> None:
        self._bus = bus
        self.counts: Counter[str] = Counter()
        """Outcome -> times this process was the one that recorded it."""

    async def recorded(self, turn_id: str) -> turn.Ended | None:
        """The outcome this turn already has."""
        stored = await self._bus.ended(turn_id)
        return base.decode(stored.data, turn.Ended) if stored else None

    async def close(self, turn_: turn.Turn, reached: turn.Ended) -> None:
        """Record the outcome, unless there is one, and say what the recorded one says. May run twice."""
        if await self._bus.publish(subjects.event("turn", "ended", turn_.id), reached):
            self.counts[reached.outcome] += 1
            counted = reached
        else:
            counted = await self.recorded(turn_.id) or reached
        await self.say(turn_, counted)

    async def say(self, turn_: turn.Turn, outcome: turn.Ended) -> None:
        """Hand what is to be said to the surface. Once per subject, so it may run twice."""
        if not outcome.text:
            return
        say = message.Say(
            turn=turn_.id,
            surface=turn_.surface,
            channel=turn_.channel,
            character=turn_.character,
            text=outcome.text,
            guild=turn_.guild,
            reply_to=turn_.native,
            notice=outcome.outcome != "answered",
            expires_at=outcome.at + limits.SAY_AGE_S,
        )
        await self._bus.publish(subjects.say(turn_.surface, turn_.character, turn_.id), say)
