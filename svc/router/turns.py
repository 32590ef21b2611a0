"""Running a turn: facts, then attempts until one passes the gate, then exactly one recorded outcome.

Every step is a recorded call, so a router that takes over a turn reads what is there and goes on behind it:
no finished step runs twice. The outcome is one subject (`evt.turn.ended.<turn>.0`), written once; what is
said follows from what was recorded there, whoever recorded it.
"""

from __future__ import annotations

import math
import time

import anyio
import msgspec

from svc import cache, retry
from svc.bus import api, calls, errors, job, limits, status, subjects
from svc.router import attempt, facts, outcome, prompt, settings
from svc.wire import tuning, turn

POLICY = retry.RETRY_CONFIG["DISCORD_MESSAGE"]
ATTEMPT_S = 1.0
"""Less time than this is not worth another attempt."""
LATER = (errors.Retry, errors.NoReply, errors.NotAccepted, errors.Overloaded)
"""Trouble that another delivery may be spared."""


class Runner:
    """Runs turns over one bus."""

    def __init__(self, bus: api.Bus, shared: cache.Cache, options: settings.Settings) -> None:
        self._bus = bus
        self._cache = shared
        self._options = options
        self._gatherer = facts.Gatherer(bus, options.router_passages)
        self._maker = attempt.Maker(bus, options)
        self._scribe = outcome.Scribe(bus)
        self._version = status.version()
        self._model = ""
        """Of the last generation: what is remembered depends on it."""
        self._attempts = 0

    def counters(self) -> dict[str, float]:
        ended = self._scribe.counts.items()
        totals = {f'router_turns_total{{outcome="{name}"}}': float(times) for name, times in ended}
        return totals | {"router_attempts_total": float(self._attempts)}

    async def run(self, turn_: turn.Turn, job_: job.Job) -> None:
        """Bring a turn to its outcome. May run twice, even at once: the first outcome counts.

        Raises Retry while nobody can speak as that character. A failure that no delivery would cure is
        recorded as an outcome before it is raised.
        """
        now = time.time()
        if turn_.expires_at and now > turn_.expires_at:
            await self._scribe.close(turn_, outcome.ended(turn_, "expired", "nobody could take it in time"))
            return
        # What was down and came back still answers: each run has the time a person waits.
        deadline = min(turn_.expires_at or math.inf, now + limits.TURN_S)
        turn_ = msgspec.structs.replace(turn_, expires_at=deadline)
        async with self._bus.scope(turn_.id) as scope:
            if job_.maybe_repeated():
                if recorded := await self._scribe.recorded(turn_.id):
                    await self._scribe.say(turn_, recorded)
                    return
                for subject, data in (await self._bus.recall(turn_.id)).items():
                    scope.learn(subject, data)
            try:
                reached = await self._reach(turn_, job_, scope)
            except LATER:
                raise
            except Exception as error:
                await self._scribe.close(
                    turn_, outcome.ended(turn_, "notice", f"{type(error).__name__}: {error}")
                )
                raise
        await self._scribe.close(turn_, reached)

    async def _reach(self, turn_: turn.Turn, job_: job.Job, scope: calls.Scope) -> turn.Ended:
        gathered = await self._gatherer.gather(turn_, scope)
        job_.progress()
        # Which model would answer is known from its last generation; before that, nothing is from the cache.
        remembered = await self._cache.get(self._key(turn_, gathered), turn.Ended) if self._model else None
        if remembered:
            reached = outcome.again(turn_, remembered)
        else:
            reached = await self._attempt(turn_, gathered, job_, scope)
            if reached.outcome == "answered" and not gathered.degraded:
                await self._cache.set(self._key(turn_, gathered), reached)
        return msgspec.structs.replace(reached, ms=round((time.time() - job_.stored_at) * 1000, 1))

    async def _attempt(
        self, turn_: turn.Turn, gathered: facts.Facts, job_: job.Job, scope: calls.Scope
    ) -> turn.Ended:
        known = set(scope.subjects())
        """What an earlier run of this turn had got: nobody waits again for what is already there."""
        tried: list[turn.Attempt] = []
        failures: list[tuning.Failure] = []
        while True:
            number = len(tried) + 1
            if number > 1:
                await self._gatherer.advise(turn_, number, tuple(failures), gathered)
            result = await self._maker.make(turn_, number, gathered)
            job_.progress()
            self._attempts += 1
            self._model = result.model or self._model
            tried.append(result.attempt)
            if result.attempt.accepted:
                return outcome.answered(turn_, gathered, tried, result)
            failures.append(
                tuning.Failure(attempt=number, component=result.attempt.cause, reason=result.attempt.reason)
            )
            left = turn_.expires_at - time.time()
            delay = retry.decide(POLICY, number, left_s=left, needed_s=ATTEMPT_S, seed=turn_.id)
            if delay is None:
                return outcome.fallback(turn_, gathered, tried)
            if subjects.reply("llm", attempt.method(turn_), turn_.id, number + 1) not in known:
                await anyio.sleep(delay)

    def _key(self, turn_: turn.Turn, gathered: facts.Facts) -> str:
        """Where an answer is remembered: all it depends on. The document is silent about this cache."""
        return "reply:" + cache.digest(
            self._model,
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
