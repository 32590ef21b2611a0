"""The quality service: `assess` says which of some replies may be posted, and why the others may not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping

import anyio
import anyio.to_thread

from svc import cache, config, embedding
from svc.bus import cast, errors, job, service
from svc.quality import gate, settings
from svc.wire import quality

NAME = "quality"

SLOTS = 4
"""Assessments at once: they are work for the CPU, more would only wait for each other."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Composition root of the gate. Yields once it has the cast and has learned its voices.

    Raises ConfigError for a wrong setting or a missing embedder.
    """
    wanted = settings.read()
    embedder = await anyio.to_thread.run_sync(embedding.load)
    packs = await cast.wait(app.bus)
    app.tell("learning the voices of the cast")
    judge = await anyio.to_thread.run_sync(gate.build, packs, embedder, wanted)
    assessor = Assessor(app.cache, judge)
    yield service.Service(
        name=NAME,
        describe="The gate: judges every draft, explains every refusal",
        answers=(
            service.Answer("assess", quality.AssessRequest, quality.Assessment, assessor.assess, slots=SLOTS),
        ),
        health=app.cache.health,
        counters=assessor.counters,
        gauges=lambda: {"quality_voice_accuracy": judge.heldout},
        settings=config.shown(wanted),
    )


class Assessor:
    """The handler and what it counts."""

    def __init__(self, shared: cache.Cache, judge: gate.Gate) -> None:
        self._cache = shared
        self._gate = judge
        self._counts: Counter[str] = Counter()

    async def assess(self, request: quality.AssessRequest, _job: job.Job) -> quality.Assessment:
        """Judge every reply. May run twice: the same request gets the same verdicts.

        Raises Refused("unknown_character").
        """
        judge = self._gate
        if not judge.knows(request.character):
            raise errors.Refused("unknown_character", f"the gate knows no character {request.character!r}")
        verdicts: dict[str, quality.Verdict] = {}
        if not request.fresh:
            for reply in dict.fromkeys(request.replies):
                kept = await self._cache.get(judge.key(request, reply), quality.Verdict)
                if kept is not None:
                    verdicts[reply] = kept
        fresh = [reply for reply in dict.fromkeys(request.replies) if reply not in verdicts]
        for reply, verdict in zip(fresh, await judge.assess(request, fresh), strict=True):
            verdicts[reply] = verdict
            await self._cache.set(judge.key(request, reply), verdict)
        judged = tuple(verdicts[reply] for reply in request.replies)
        self._count(judged)
        return quality.Assessment(verdicts=judged, best=gate.best(judged), cached=bool(judged) and not fresh)

    def counters(self) -> Mapping[str, float]:
        return {f"quality_{name}_total": float(times) for name, times in self._counts.items()}

    def _count(self, verdicts: tuple[quality.Verdict, ...]) -> None:
        for verdict in verdicts:
            self._counts["assessed"] += 1
            self._counts["accepted" if verdict.accepted else "refused"] += 1
            if verdict.stop:
                self._counts[f"stop_{verdict.stop}"] += 1
