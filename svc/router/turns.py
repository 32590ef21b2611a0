"""Running a turn: facts, then attempts until one passes the gate, then exactly one recorded outcome.

Every step is a recorded call, so a router that takes over a turn reads what is there and goes on behind it:
no finished step runs twice. The outcome is one subject (`evt.turn.ended.<turn>.0`), written once; what is
said follows from what was recorded there, whoever recorded it.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import anyio
import msgspec

from svc import cache, retry
from svc.bus import api, errors, job, limits, status, subjects
from svc.router import facts, prompt, reply, settings, variation
from svc.wire import base, llm, message, quality, retriever, tuning, turn

if TYPE_CHECKING:
    from collections.abc import Sequence

POLICY = retry.RETRY_CONFIG["DISCORD_MESSAGE"]
ATTEMPT_S = 1.0
"""Less time than this is not worth another attempt."""
ASSESS_S = 10.0
SAY_N = 0


class Runner:
    """Runs turns over one bus."""

    def __init__(self, bus: api.Bus, shared: cache.Cache, options: settings.Settings) -> None:
        self._bus = bus
        self._cache = shared
        self._options = options
        self._gatherer = facts.Gatherer(bus, options.router_passages)
        self.outcomes: dict[str, int] = {}
        self.attempts = 0
        self._model = ""
        self._version = status.version()

    def counters(self) -> dict[str, float]:
        totals = {f'quahog_turns_total{{outcome="{name}"}}': float(n) for name, n in self.outcomes.items()}
        return totals | {"quahog_attempts_total": float(self.attempts)}

    async def run(self, turn_: turn.Turn, job_: job.Job) -> None:
        """Bring a turn to its outcome. May run twice, even at once: the first outcome counts."""
        async with self._bus.scope(turn_.id) as scope:
            if job_.maybe_repeated():
                if stored := await self._bus.ended(turn_.id):
                    await self._say(turn_, base.decode(stored.data, turn.Ended))
                    return
                for subject, data in (await self._bus.recall(turn_.id)).items():
                    scope.learn(subject, data)
            ended = await self._reach(turn_, job_, set(scope.subjects()))
        await self._say(turn_, await self._record(turn_, ended))

    async def _reach(self, turn_: turn.Turn, job_: job.Job, known: set[str]) -> turn.Ended:
        started = time.perf_counter()
        if turn_.expires_at and time.time() > turn_.expires_at:
            return self._ended(turn_, "expired", reason="its deadline had passed before it was run")
        gathered = await self._gatherer.gather(turn_, turn_.expires_at - time.time())
        job_.progress()
        # Which model would answer is known from its last generation; before that, nothing is from the cache.
        remembered = await self._cache.get(self._key(turn_, gathered), turn.Ended) if self._model else None
        if remembered:
            ended = self._again(turn_, remembered)
        else:
            ended = await self._attempt(turn_, gathered, job_, known)
            if ended.outcome == "answered" and not gathered.degraded:
                await self._cache.set(self._key(turn_, gathered), ended)
        return msgspec.structs.replace(ended, ms=round((time.perf_counter() - started) * 1000, 1))

    async def _attempt(
        self, turn_: turn.Turn, gathered: facts.Facts, job_: job.Job, known: set[str]
    ) -> turn.Ended:
        tried: list[turn.Attempt] = []
        failures: list[tuning.Failure] = []
        number = 0
        while True:
            number += 1
            left = turn_.expires_at - time.time()
            if number > 1:
                await self._gatherer.advise(turn_, number, tuple(failures), gathered, left)
            attempt, verdict, model = await self._once(turn_, number, gathered)
            job_.progress()
            self.attempts += 1
            tried.append(attempt)
            if verdict is not None and verdict.accepted:
                return self._ended(
                    turn_,
                    "answered",
                    text=attempt.text,
                    attempts=tuple(tried),
                    verdict=verdict,
                    passages=gathered.found.passages,
                    degraded=tuple(gathered.degraded),
                    arm=gathered.advice.arm,
                    model=model,
                )
            failures.append(tuning.Failure(attempt=number, component=attempt.cause, reason=attempt.reason))
            left = turn_.expires_at - time.time()
            delay = retry.decide(POLICY, number, left_s=left, needed_s=ATTEMPT_S, seed=turn_.id)
            if delay is None:
                return self._fallback(turn_, gathered, tried)
            if subjects.reply("llm", _method(turn_), turn_.id, number + 1) not in known:
                await anyio.sleep(delay)

    async def _once(
        self, turn_: turn.Turn, number: int, gathered: facts.Facts
    ) -> tuple[turn.Attempt, quality.Verdict | None, str]:
        """One attempt: generate, tidy, assess. Never raises for a step that failed: that is its result."""
        started = time.perf_counter()
        how = variation.vary(turn_.id, number, gathered.prompt, gathered.advice, self._options)
        made = turn.Attempt(n=number, tier=retry.tier(number), changed=how.changed)
        model = ""
        try:
            generation = await self._generate(turn_, number, gathered, how)
            model = self._model = generation.model
            replies = self._tidied(generation, gathered.prompt.name)
            verdict, text = await self._assess(turn_, number, gathered, replies)
        except (errors.NoReply, errors.NotAccepted, errors.Overloaded, errors.Refused) as error:
            return _finished(made, started, cause="service", reason=str(error)), None, model
        return (
            _finished(
                made,
                started,
                text=text,
                score=verdict.score,
                threshold=verdict.threshold,
                accepted=verdict.accepted,
                cause=_cause(verdict),
                reason=verdict.reason,
            ),
            verdict,
            model,
        )

    async def _generate(
        self, turn_: turn.Turn, number: int, gathered: facts.Facts, how: variation.Variation
    ) -> llm.Generation:
        request = llm.GenerateRequest(
            character=turn_.character,
            messages=prompt.build(
                turn_,
                gathered.prompt,
                gathered.found.passages,
                how.guidance,
                examples=how.examples,
                lines=how.lines,
            ),
            opener=how.opener,
            stop=gathered.prompt.stop,
            sampling=how.sampling,
            fresh=number > 1,
            guild=turn_.guild,
            stream=turn_.surface == "console",
        )
        left = turn_.expires_at - time.time()
        return await self._bus.call(
            "llm", _method(turn_), request, llm.Generation, turn=turn_.id, n=number, within_s=left
        )

    def _tidied(self, generation: llm.Generation, name: str) -> tuple[str, ...]:
        """The candidates worth judging, without duplicates, in their order."""
        drafts = (
            reply.tidy(candidate.text, name, sentences=self._options.router_sentences)
            for candidate in generation.candidates
        )
        return tuple(dict.fromkeys(drafts)) or ("",)

    async def _assess(
        self, turn_: turn.Turn, number: int, gathered: facts.Facts, replies: tuple[str, ...]
    ) -> tuple[quality.Verdict, str]:
        request = quality.AssessRequest(
            character=turn_.character,
            replies=replies,
            user=turn_.text,
            author=prompt.display_name(turn_.author),
            history=turn_.history,
            passages=gathered.found.passages,
            kind="user" if turn_.origin == "user" else "organic",
            heard=turn_.heard,
            guild=turn_.guild,
            fresh=number > 1,
        )
        left = turn_.expires_at - time.time()
        assessment = await self._bus.call(
            "quality",
            "assess",
            request,
            quality.Assessment,
            turn=turn_.id,
            n=number,
            within_s=min(left, ASSESS_S),
        )
        return assessment.verdicts[assessment.best], replies[assessment.best]

    # -- outcomes ----------------------------------------------------------------------------------------

    def _fallback(self, turn_: turn.Turn, gathered: facts.Facts, tried: Sequence[turn.Attempt]) -> turn.Ended:
        """An honest line of the pack, marked as a notice: nothing unvalidated is ever posted."""
        line = random.Random(turn_.id).choice(gathered.prompt.fallbacks.failed)
        return self._ended(
            turn_,
            "notice",
            text=line,
            attempts=tuple(tried),
            passages=gathered.found.passages,
            degraded=tuple(gathered.degraded),
            arm=gathered.advice.arm,
            reason=f"no draft passed in {len(tried)} attempts; last: {tried[-1].reason}",
        )

    def _again(self, turn_: turn.Turn, cached: turn.Ended) -> turn.Ended:
        """The same words for the same question in the same circumstances."""
        fresh = self._ended(turn_, "answered")
        return msgspec.structs.replace(
            cached,
            turn=fresh.turn,
            surface=fresh.surface,
            channel=fresh.channel,
            message=fresh.message,
            native=fresh.native,
            cached=True,
            at=fresh.at,
        )

    def _ended(
        self,
        turn_: turn.Turn,
        outcome: turn.Outcome,
        *,
        text: str = "",
        attempts: tuple[turn.Attempt, ...] = (),
        verdict: quality.Verdict | None = None,
        passages: tuple[retriever.Passage, ...] = (),
        degraded: tuple[str, ...] = (),
        arm: str = "",
        model: str = "",
        reason: str = "",
    ) -> turn.Ended:
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
            text=text,
            attempts=attempts,
            verdict=verdict,
            passages=passages,
            degraded=degraded,
            arm=arm,
            model=model,
            reason=reason,
            at=time.time(),
        )

    async def _record(self, turn_: turn.Turn, ended: turn.Ended) -> turn.Ended:
        """Write the outcome, once; returns the one that counts."""
        if await self._bus.publish(subjects.event("turn", "ended", turn_.id), ended):
            self.outcomes[ended.outcome] = self.outcomes.get(ended.outcome, 0) + 1
            return ended
        stored = await self._bus.ended(turn_.id)
        return base.decode(stored.data, turn.Ended) if stored else ended

    async def _say(self, turn_: turn.Turn, ended: turn.Ended) -> None:
        """Hand what is to be said to the surface. Once per subject, so it may run twice."""
        if not ended.text:
            return
        say = message.Say(
            turn=turn_.id,
            surface=turn_.surface,
            channel=turn_.channel,
            character=turn_.character,
            text=ended.text,
            guild=turn_.guild,
            reply_to=turn_.native,
            notice=ended.outcome != "answered",
            expires_at=ended.at + limits.SAY_AGE_S,
        )
        await self._bus.publish(subjects.say(turn_.surface, turn_.character, turn_.id, SAY_N), say)

    def _key(self, turn_: turn.Turn, gathered: facts.Facts) -> str:
        """Where an answer is remembered: all it depends on. The document is silent about this cache."""
        return "reply:" + cache.digest(
            self._model,
            self._options,
            self._version,
            turn_.character,
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


def _method(turn_: turn.Turn) -> str:
    """Somebody waits for a user's turn; organic ones are banter, served when nothing else waits."""
    return "generate" if turn_.origin == "user" else "banter"


def _cause(verdict: quality.Verdict) -> str:
    """What refused a draft: the hard stop, else the component furthest below (or least above) its floor."""
    if verdict.accepted:
        return ""
    if verdict.stop:
        return verdict.stop
    weakest = min(verdict.components, key=lambda part: part.score - part.floor, default=None)
    return weakest.name if weakest else "total"


def _finished(
    made: turn.Attempt,
    started: float,
    *,
    text: str = "",
    score: float = 0.0,
    threshold: float = 0.0,
    accepted: bool = False,
    cause: str = "",
    reason: str = "",
) -> turn.Attempt:
    return msgspec.structs.replace(
        made,
        text=text,
        score=score,
        threshold=threshold,
        accepted=accepted,
        cause=cause,
        reason=reason,
        ms=round((time.perf_counter() - started) * 1000, 1),
    )
