"""The course of a turn, from its facts to how it ends: the logic that a replay runs again.

Everything it learns comes from recorded steps (`steps`), and what does not is noted (`notes`): with the same
replies and the same notes it comes to the same outcome, byte for byte.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from svc import cache, retry
from svc.bus import limits, status
from svc.router import attempt, facts, fence, load, notes, outcome, prompt, settings, steps
from svc.wire import tuning, turn

POLICY = retry.RETRY_CONFIG["DISCORD_MESSAGE"]
ATTEMPT_S = 1.0
"""Less time than this is not worth another attempt."""
TAKEN = "taken"
"""Name of the first note: when the run began."""
ORGANIC_ATTEMPTS = 3
"""Nobody asked for a planned turn: the standard tier, or silence."""


class Replies(Protocol):
    """The cache of whole replies."""

    async def get(self, key: str, kind: type[turn.Ended]) -> turn.Ended | None: ...

    async def set(self, key: str, value: object) -> None: ...


class Load(Protocol):
    """See `load.Load`."""

    async def waiting(self) -> int: ...

    async def may_say_busy(self, turn_: turn.Turn) -> bool: ...


def still() -> None:
    """Nobody needs to know that a step is done."""


class Course:
    """Takes turns to their end; what it remembers between turns only saves time."""

    def __init__(
        self,
        replies: Replies,
        load_: Load,
        options: settings.Settings,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`now` is the clock that all processes agree on (`api.Bus.now`)."""
        self._replies = replies
        self._load = load_
        self._options = options
        self._now = now
        self._gatherer = facts.Gatherer(options.router_passages)
        self._maker = attempt.Maker(options)
        self._version = status.version()
        self._model = ""
        """Of the last generation: what is remembered depends on it."""
        self.attempts = 0

    async def run(
        self,
        turn_: turn.Turn,
        stored_at: float,
        asked: steps.Steps,
        noted: notes.Notes,
        progress: Callable[[], None] = still,
    ) -> turn.Ended:
        """How the turn ends; records nothing but its steps. `stored_at`: its store time, Unix seconds.

        Raises Retry while there is no pack to speak with, NotAccepted while the broker can't be reached.
        """
        taken = noted.number(TAKEN, self._now)
        if turn_.expires_at and taken > turn_.expires_at:
            reached = outcome.ended(turn_, "expired", "nobody could take it in time")
        else:
            # What was down and came back still answers: each run has the time a person waits.
            patience = limits.TURN_S if turn_.origin == "user" else limits.ORGANIC_S
            left = min((turn_.expires_at or math.inf) - taken, patience)
            # From here on by the clock of this machine, which the steps are timed with.
            limited = msgspec.structs.replace(turn_, expires_at=time.time() + left)
            reached = await self._reach(limited, asked, noted, progress)
        return self._stamped(reached, stored_at, noted)

    def failed(self, turn_: turn.Turn, stored_at: float, reason: str, noted: notes.Notes) -> turn.Ended:
        """How a turn ends that can't be brought to its end: with an honest line where somebody waits."""
        known = self._gatherer.remembered(turn_.character)
        reached = outcome.failed(turn_, known.fallbacks.failed if known else (), reason)
        return self._stamped(reached, stored_at, noted)

    def _stamped(self, reached: turn.Ended, stored_at: float, noted: notes.Notes) -> turn.Ended:
        at = noted.number("at", self._now)
        # Noted, too: a delivery tells the store time in nanoseconds, the record in microseconds.
        ms = noted.number("ms", lambda: round((at - stored_at) * 1000, 1))
        return msgspec.structs.replace(reached, at=at, ms=ms, noted=noted.taken)

    async def _reach(
        self, turn_: turn.Turn, asked: steps.Steps, noted: notes.Notes, progress: Callable[[], None]
    ) -> turn.Ended:
        if turn_.origin != "user":
            waiting = await noted.answer("waiting", self._load.waiting)
            if waiting > load.WAITING_MAX:
                return outcome.ended(turn_, "shed", f"{waiting:g} requests wait for the model")
        if stop := await fence.check(turn_, asked, fence.FIRED):
            return outcome.ended(turn_, *stop)
        gathered = await self._gatherer.gather(turn_, asked, _left(turn_))
        progress()
        # Which model would answer is known from its last generation; before that, nothing is from the cache.
        model = noted.word("model", lambda: self._model)
        key = self._key(turn_, gathered, model)
        if model and (remembered := await self._replies.get(key, turn.Ended)):
            return outcome.again(turn_, remembered)
        reached = await self._attempt(turn_, gathered, asked, noted, progress)
        if reached.outcome != "answered":
            return reached
        if stop := await fence.check(turn_, asked, fence.SPOKEN):
            return msgspec.structs.replace(reached, outcome=stop[0], reason=stop[1], text="", verdict=None)
        if not gathered.degraded:
            await self._replies.set(self._key(turn_, gathered, reached.model), reached)
        return reached

    async def _attempt(
        self,
        turn_: turn.Turn,
        gathered: facts.Facts,
        asked: steps.Steps,
        noted: notes.Notes,
        progress: Callable[[], None],
    ) -> turn.Ended:
        tried: list[turn.Attempt] = []
        failures: list[tuning.Failure] = []
        while True:
            number = len(tried) + 1
            if number > 1:
                await self._gatherer.advise(turn_, number, tuple(failures), gathered, asked, _left(turn_))
            result = await self._maker.make(turn_, number, gathered, asked, noted)
            progress()
            self.attempts += 1
            self._model = result.model or self._model
            tried.append(result.attempt)
            if result.attempt.accepted:
                return outcome.answered(turn_, gathered, tried, result)
            if result.overloaded:
                return await self._overloaded(turn_, gathered, tried, noted)
            failures.append(
                tuning.Failure(attempt=number, component=result.attempt.cause, reason=result.attempt.reason)
            )
            left = noted.number(f"left.{number}", lambda: _left(turn_))
            delay = retry.decide(POLICY, number, left_s=left, needed_s=ATTEMPT_S, seed=turn_.id)
            if delay is None or (turn_.origin != "user" and number >= ORGANIC_ATTEMPTS):
                return outcome.fallback(turn_, gathered, tried)
            await asked.pause(delay, "llm", attempt.method(turn_), number + 1)

    async def _overloaded(
        self, turn_: turn.Turn, gathered: facts.Facts, tried: list[turn.Attempt], noted: notes.Notes
    ) -> turn.Ended:
        async def may() -> float:
            return float(await self._load.may_say_busy(turn_))

        aloud = turn_.origin == "user" and await noted.answer("busy", may) > 0
        return outcome.overloaded(turn_, gathered, tried, aloud=aloud)

    def _key(self, turn_: turn.Turn, gathered: facts.Facts, model: str) -> str:
        """Where an answer is remembered: all it depends on. The document is silent about this cache."""
        return "reply:" + cache.digest(
            model,
            self._options,
            self._version,
            turn_.character,
            turn_.origin,
            turn_.guild,
            turn_.channel if turn_.history else "",
            prompt.display_name(turn_.author),
            turn_.text.strip(),
            [(line.id, line.text) for line in turn_.history],
            gathered.prompt.version,
            gathered.found.index,
            [passage.id for passage in gathered.found.passages],
            gathered.advice,
        )


def _left(turn_: turn.Turn) -> float:
    return turn_.expires_at - time.time()
