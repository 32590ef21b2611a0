"""One attempt: generate, tidy, assess."""

from __future__ import annotations

import dataclasses
import time

import msgspec

from svc import retry
from svc.bus import api, errors
from svc.router import facts, prompt, reply, settings, variation
from svc.wire import llm, quality, turn

ASSESS_S = 10.0
FAILED = (errors.NoReply, errors.NotAccepted, errors.Overloaded, errors.Refused)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What came of an attempt. Without a verdict a step failed, and `attempt.reason` says which."""

    attempt: turn.Attempt
    verdict: quality.Verdict | None = None
    model: str = ""


class Maker:
    """Makes attempts over one bus."""

    def __init__(self, bus: api.Bus, options: settings.Settings) -> None:
        self._bus = bus
        self._options = options

    async def make(self, turn_: turn.Turn, number: int, gathered: facts.Facts) -> Result:
        """Attempt `number` (from 1). A step that fails is a result, not an error."""
        started = time.perf_counter()
        how = variation.vary(turn_.id, number, gathered.prompt, gathered.advice, self._options)
        made = turn.Attempt(n=number, tier=retry.tier(number), changed=how.changed)
        model = ""
        try:
            generation = await self._generate(turn_, number, gathered, how)
            model = generation.model
            replies = self._tidied(generation, gathered.prompt.name)
            assessment = await self._assess(turn_, number, gathered, replies)
        except FAILED as error:
            failed = msgspec.structs.replace(made, cause="service", reason=str(error), ms=_since(started))
            return Result(failed, model=model)
        verdict = assessment.verdicts[assessment.best]
        judged = msgspec.structs.replace(
            made,
            text=replies[assessment.best],
            score=verdict.score,
            threshold=verdict.threshold,
            accepted=verdict.accepted,
            cause=cause(verdict),
            reason=verdict.reason,
            ms=_since(started),
        )
        return Result(judged, verdict, model)

    async def _generate(
        self, turn_: turn.Turn, number: int, gathered: facts.Facts, how: variation.Variation
    ) -> llm.Generation:
        messages = prompt.build(
            turn_,
            gathered.prompt,
            gathered.found.passages,
            how.guidance,
            examples=how.examples,
            lines=how.lines,
        )
        request = llm.GenerateRequest(
            character=turn_.character,
            messages=messages,
            opener=how.opener,
            stop=gathered.prompt.stop,
            sampling=how.sampling,
            fresh=number > 1,
            guild=turn_.guild,
            stream=turn_.surface == "console",
        )
        left = turn_.expires_at - time.time()
        return await self._bus.call(
            "llm", method(turn_), request, llm.Generation, turn=turn_.id, n=number, within_s=left
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
    ) -> quality.Assessment:
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
        left = min(turn_.expires_at - time.time(), ASSESS_S)
        return await self._bus.call(
            "quality", "assess", request, quality.Assessment, turn=turn_.id, n=number, within_s=left
        )


def method(turn_: turn.Turn) -> str:
    """Somebody waits for a user's turn; organic ones are banter, served when nothing else waits."""
    return "generate" if turn_.origin == "user" else "banter"


def cause(verdict: quality.Verdict) -> str:
    """What refused a draft: the hard stop, else the component furthest below (or least above) its floor."""
    if verdict.accepted:
        return ""
    if verdict.stop:
        return verdict.stop
    weakest = min(verdict.components, key=lambda part: part.score - part.floor, default=None)
    return weakest.name if weakest else "total"


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)
