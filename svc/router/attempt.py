"""One attempt: generate, tidy, assess.

A refused step ends the attempt, with two exceptions. A gate that doesn't answer is asked again about the same
drafts while the turn has time, since nothing unjudged is said and nothing written is thrown away. And a
model whose queue is full ends the turn: nobody would get to the next attempt either.
"""

from __future__ import annotations

import dataclasses
import itertools
import time

import msgspec

from svc import retry
from svc.bus import errors
from svc.router import facts, notes, prompt, reply, settings, steps, variation
from svc.wire import llm, quality, turn

ASSESS_S = 10.0
"""One question to the gate."""
AGAIN_S = 0.5
"""With less time left than this the gate isn't asked again."""
AGAIN = retry.RETRY_CONFIG["SERVICE_CALL"]


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What came of an attempt. Without a verdict a step failed, and `attempt.reason` says which."""

    attempt: turn.Attempt
    verdict: quality.Verdict | None = None
    model: str = ""
    overloaded: bool = False
    """The model's queue is full."""


class Maker:
    """Makes attempts."""

    def __init__(self, options: settings.Settings) -> None:
        self._options = options

    async def make(
        self, turn_: turn.Turn, number: int, gathered: facts.Facts, asked: steps.Steps, noted: notes.Notes
    ) -> Result:
        """Attempt `number` (from 1). A refused step is a result, not an error.

        Raises NotAccepted while the broker can't be reached.
        """
        started = time.perf_counter()

        def ms() -> float:
            return noted.number(f"ms.{number}", lambda: round((time.perf_counter() - started) * 1000, 1))

        how = variation.vary(turn_.id, number, gathered.prompt, gathered.advice, self._options)
        made = turn.Attempt(n=number, tier=retry.tier(number), changed=how.changed)
        try:
            generation = await self._generate(turn_, number, gathered, how, asked)
        except errors.Refused as error:
            failed = msgspec.structs.replace(made, cause="service", reason=str(error), ms=ms())
            return Result(failed, overloaded=error.code == steps.OVERLOADED)
        replies = self._tidied(generation, gathered.prompt.name)
        try:
            assessment = await self._assess(turn_, number, gathered, replies, asked, noted)
        except errors.Refused as error:
            failed = msgspec.structs.replace(made, cause="service", reason=str(error), ms=ms())
            return Result(failed, model=generation.model)
        verdict = assessment.verdicts[assessment.best]
        judged = msgspec.structs.replace(
            made,
            text=replies[assessment.best],
            score=verdict.score,
            threshold=verdict.threshold,
            accepted=verdict.accepted,
            cause=cause(verdict),
            reason=verdict.reason,
            ms=ms(),
        )
        return Result(judged, verdict, generation.model)

    async def _generate(
        self,
        turn_: turn.Turn,
        number: int,
        gathered: facts.Facts,
        how: variation.Variation,
        asked: steps.Steps,
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
        return await asked.ask("llm", method(turn_), request, llm.Generation, n=number, within_s=left)

    def _tidied(self, generation: llm.Generation, name: str) -> tuple[str, ...]:
        """The candidates worth judging, without duplicates, in their order."""
        drafts = (
            reply.tidy(candidate.text, name, sentences=self._options.router_sentences)
            for candidate in generation.candidates
        )
        return tuple(dict.fromkeys(drafts)) or ("",)

    async def _assess(
        self,
        turn_: turn.Turn,
        number: int,
        gathered: facts.Facts,
        replies: tuple[str, ...],
        asked: steps.Steps,
        noted: notes.Notes,
    ) -> quality.Assessment:
        """The gate's judgement; asked as `<attempt>`, `<attempt>-1`, `<attempt>-2`, … Raises Refused."""
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
        for again in itertools.count():
            n = f"{number}-{again}" if again else str(number)
            within_s = min(turn_.expires_at - time.time(), ASSESS_S)
            try:
                assessment = await asked.ask(
                    "quality", "assess", request, quality.Assessment, n=n, within_s=within_s
                )
                break
            except errors.Refused as error:
                left = noted.number(f"left.{n}", lambda: turn_.expires_at - time.time())
                if error.code not in steps.LATER_MAYBE or left < AGAIN_S:
                    raise
                pause = min(retry.pause(AGAIN, again + 1), left)
                await asked.pause(pause, "quality", "assess", f"{number}-{again + 1}")
        if len(assessment.verdicts) != len(replies) or not 0 <= assessment.best < len(replies):
            raise errors.Refused("bad_reply", "the gate judged something else than it was shown")
        return assessment


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
