"""The quality service: `assess` says which of some replies may be posted, and why the others may not."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping

import anyio
import anyio.to_thread

from svc import config, embedding
from svc.bus import errors, job, service, subjects
from svc.quality import gate, settings
from svc.wire import characters, quality, status

NAME = "quality"

SLOTS = 4
"""Assessments at once: they are work for the CPU, more would only wait for each other."""
CAST_WITHIN_S = 5.0
"""How long the characters service may take to answer, each time it is asked."""
BACKOFF_S = 0.25
BACKOFF_MAX_S = 5.0
READY_WITHIN_S = 2.0
"""How long a request waits for the gate to be ready before it is put back into the queue."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Serve at once; the cast is fetched and learned beside, for services start in any order.

    Raises ConfigError for a wrong setting or a missing embedder.
    """
    wanted = settings.read()
    embedder = await anyio.to_thread.run_sync(embedding.load)
    assessor = Assessor(app, embedder, wanted)
    app.tasks.start_soon(assessor.prepare)
    yield service.Service(
        name=NAME,
        answers=(
            service.Answer("assess", quality.AssessRequest, quality.Assessment, assessor.assess, slots=SLOTS),
        ),
        health=assessor.health,
        counters=assessor.counters,
        gauges=assessor.gauges,
        settings=config.shown(wanted),
    )


class Assessor:
    """The handler and what it counts."""

    def __init__(self, app: service.App, embedder: embedding.Embedder, wanted: settings.Settings) -> None:
        self._app = app
        self._embedder = embedder
        self._settings = wanted
        self._gate: gate.Gate | None = None
        self._ready = anyio.Event()
        self._counts: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Ask for the cast until it is given, then learn it."""
        packs = await self._cast()
        self._gate = await anyio.to_thread.run_sync(gate.build, packs, self._embedder, self._settings)
        self._ready.set()

    async def assess(self, request: quality.AssessRequest, delivery: job.Job) -> quality.Assessment:
        """Judge every reply. May run twice: the same request gets the same verdicts.

        Raises Refused("unknown_character"), and Retry while the cast is not known yet.
        """
        judge = await self._wait(delivery)
        if not judge.knows(request.character):
            raise errors.Refused("unknown_character", f"the gate knows no character {request.character!r}")
        verdicts: dict[str, quality.Verdict] = {}
        if not request.fresh:
            for reply in dict.fromkeys(request.replies):
                kept = await self._app.cache.get(judge.key(request, reply), quality.Verdict)
                if kept is not None:
                    verdicts[reply] = kept
        fresh = [reply for reply in dict.fromkeys(request.replies) if reply not in verdicts]
        for reply, verdict in zip(fresh, await judge.assess(request, fresh), strict=True):
            verdicts[reply] = verdict
            await self._app.cache.set(judge.key(request, reply), verdict)
        judged = tuple(verdicts[reply] for reply in request.replies)
        self._count(judged)
        return quality.Assessment(verdicts=judged, best=gate.best(judged), cached=bool(judged) and not fresh)

    def health(self) -> status.Health:
        if self._gate is None:
            return status.Health(level="down", reasons=("waiting for the characters service",))
        return self._app.cache.health()

    def counters(self) -> Mapping[str, float]:
        return {f"quality_{name}_total": float(times) for name, times in self._counts.items()}

    def gauges(self) -> Mapping[str, float]:
        return {"quality_voice_accuracy": self._gate.heldout} if self._gate else {}

    async def _wait(self, delivery: job.Job) -> gate.Gate:
        with anyio.move_on_after(min(READY_WITHIN_S, max(0.0, delivery.left_s()))):
            await self._ready.wait()
        if self._gate is None:
            raise errors.Retry("the cast is not known yet: is the characters service running?")
        return self._gate

    async def _cast(self) -> tuple[characters.Pack, ...]:
        turn = subjects.short_hash(self._app.bus.instance)
        pause, attempt = BACKOFF_S, 0
        while True:
            try:
                cast = await self._app.bus.call(
                    "characters",
                    "list",
                    characters.ListRequest(),
                    characters.Cast,
                    turn=turn,
                    n=attempt,
                    within_s=CAST_WITHIN_S,
                )
                return cast.packs
            except errors.BusError:
                # Not started yet, or busy: a new number is a new question, the old one's answer may be "no".
                attempt += 1
                await anyio.sleep(pause)
                pause = min(BACKOFF_MAX_S, 2 * pause)

    def _count(self, verdicts: tuple[quality.Verdict, ...]) -> None:
        for verdict in verdicts:
            self._counts["assessed"] += 1
            self._counts["accepted" if verdict.accepted else "refused"] += 1
            if verdict.stop:
                self._counts[f"stop_{verdict.stop}"] += 1
