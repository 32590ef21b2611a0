"""The advice desk: base advice, with guidance once attempts have failed; and the report of what happened."""

from __future__ import annotations

import msgspec

from svc import cache
from svc.bus import job
from svc.tuning import guidance, ledger
from svc.wire import tuning, turn


class Desk:
    def __init__(self, shared: cache.Cache, book: ledger.Ledger) -> None:
        self._cache = shared
        self._ledger = book

    async def advise(self, request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        """How this attempt should be made. Cached by all it depends on; a retry is never the same request."""
        causes = [(failure.attempt, failure.component) for failure in request.failures]
        key = f"ft_opt:{request.character}:{cache.digest(request.origin, request.attempt, causes)}"
        if cached := await self._cache.get(key, tuning.Advice):
            return msgspec.structs.replace(cached, cached=True)
        sentences = guidance.guidance(request.attempt, request.failures)
        advice = tuning.Advice(
            arm=ledger.BASE,
            guidance=sentences,
            reason=f"{len(sentences)} sentences for what failed" if sentences else "the pack as it is",
        )
        await self._cache.set(key, advice)
        return advice

    async def report(self, request: tuning.ReportRequest, _job: job.Job) -> tuning.Report:
        return tuning.Report(tallies=await self._ledger.tallies(request.character))

    async def ended(self, outcome: turn.Ended, _job: job.Job) -> None:
        """An outcome was recorded. May run twice."""
        await self._ledger.record(outcome)
