"""Running a turn durably: its course, then exactly one recorded outcome.

Every step is a recorded call, so a router that takes over a turn reads what is there and goes on behind it:
no finished step runs twice. The outcome is one subject (`evt.turn.ended.<turn>.0`), written once; what is
said follows from what was recorded there, whoever recorded it.
"""

from __future__ import annotations

from svc import cache
from svc.bus import api, job
from svc.router import breaker, course, load, notes, outcome, settings, steps
from svc.wire import status, turn


class Runner:
    """Runs turns over one bus."""

    def __init__(self, bus: api.Bus, shared: cache.Cache, options: settings.Settings) -> None:
        self._bus = bus
        self._cache = shared
        self._course = course.Course(shared, load.Load(bus), options, bus.now)
        self._scribe = outcome.Scribe(bus)
        self._breakers = breaker.Breakers()

    def counters(self) -> dict[str, float]:
        ended = self._scribe.counts.items()
        totals = {f'router_turns_total{{outcome="{name}"}}': float(times) for name, times in ended}
        return totals | {"router_attempts_total": float(self._course.attempts)} | self._breakers.counters()

    def gauges(self) -> dict[str, float]:
        return self._breakers.gauges()

    def health(self) -> status.Health:
        """Degraded while the cache is away or a breaker isn't closed."""
        reasons = (*self._cache.health().reasons, *self._breakers.reasons())
        return status.Health(level="degraded" if reasons else "ok", reasons=reasons)

    async def run(self, turn_: turn.Turn, job_: job.Job) -> None:
        """Bring a turn to its outcome. May run twice, even at once: the first outcome counts.

        Raises Retry while nobody can speak as that character, NotAccepted while the broker is away.
        """
        async with self._bus.scope(turn_.id) as scope:
            if job_.maybe_repeated():
                if recorded := await self._scribe.recorded(turn_.id):
                    await self._scribe.say(turn_, recorded)
                    return
                for subject, data in (await self._bus.recall(turn_.id)).items():
                    scope.learn(subject, data)
            asked = steps.Steps(self._bus, self._breakers, scope)
            reached = await self._course.run(turn_, job_.stored_at, asked, notes.Notes(), job_.progress)
        await self._scribe.close(turn_, reached)

    async def given_up(self, turn_: turn.Turn, job_: job.Job, reason: str) -> None:
        """The last words of a turn that no delivery would cure: it ends on the record too. May run twice."""
        await self._scribe.close(turn_, self._course.failed(turn_, job_.stored_at, reason, notes.Notes()))
