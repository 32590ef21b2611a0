"""What a turn needs before anything is generated: prompt, passages and advice, asked for in parallel.

Retrieval, advice and the character lookup may degrade, each by a name that the turn's record shows. Without
any pack at all there is no turn: the message comes back later.
"""

from __future__ import annotations

import dataclasses

import anyio

from svc.bus import errors
from svc.router import steps
from svc.wire import characters, retriever, tuning, turn

FACT_S = 4.0
"""One lookup; none of them runs a model."""
HISTORY_LINES = 4
"""What the retriever needs to resolve "he" and "that one"."""
NO_KNOWLEDGE = steps.StandIn("no_knowledge", retriever.Passages())
BASE_ADVICE = steps.StandIn("base_advice", tuning.Advice())
CACHED_PACK = "cached_pack"


@dataclasses.dataclass(slots=True)
class Facts:
    prompt: characters.Prompt
    found: retriever.Passages = NO_KNOWLEDGE.value
    advice: tuning.Advice = BASE_ADVICE.value
    degraded: list[str] = dataclasses.field(default_factory=list[str])

    def degrade(self, name: str) -> None:
        if name not in self.degraded:
            self.degraded.append(name)


class Gatherer:
    """Asks, and remembers the last prompt of each character for when nobody answers."""

    def __init__(self, passages: int) -> None:
        self._passages = passages
        self._prompts: dict[str, characters.Prompt] = {}

    async def gather(self, turn_: turn.Turn, asked: steps.Steps, left_s: float) -> Facts:
        """All three at once. Raises Retry when there is no pack to speak with yet."""
        facts = Facts(prompt=NO_PROMPT)
        within_s = min(FACT_S, left_s)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._prompt, turn_, facts, asked, within_s)
            tasks.start_soon(self._search, turn_, facts, asked, within_s)
            tasks.start_soon(self.advise, turn_, 1, (), facts, asked, left_s)
        if facts.prompt is NO_PROMPT:
            raise errors.Retry(f"nobody knows how to speak as {turn_.character} right now")
        facts.degraded.sort()  # they ran at once: their order says nothing, and a replay's would differ
        return facts

    def remembered(self, character: str) -> characters.Prompt | None:
        """The last prompt of that character, for an honest line when everything failed."""
        return self._prompts.get(character)

    async def _prompt(self, turn_: turn.Turn, facts: Facts, asked: steps.Steps, within_s: float) -> None:
        service, method = "characters", "prompt"
        request = characters.PromptRequest(character=turn_.character, guild=turn_.guild, topic=turn_.text)
        n = asked.unrefused(service, method, request)
        try:
            facts.prompt = await asked.ask_if(
                service, method, request, characters.Prompt, n=n, within_s=within_s
            )
        except (errors.Refused, *steps.UNANSWERED) as error:
            kept = self._prompts.get(turn_.character)
            if kept is None:
                return
            # A refusal stands on the record under its number, even one that came just now: the stand-in gets
            # the next.
            n += isinstance(error, errors.Refused)
            instead = steps.StandIn(CACHED_PACK, kept)
            while facts.prompt is NO_PROMPT:
                try:
                    facts.prompt, _ = await asked.stand_in(instead, service, method, str(error), n=n)
                except errors.Refused:
                    n += 1
        if asked.stood_in(service, method, n):
            facts.degrade(CACHED_PACK)
        self._prompts[turn_.character] = facts.prompt

    async def _search(self, turn_: turn.Turn, facts: Facts, asked: steps.Steps, within_s: float) -> None:
        if not self._passages:
            return
        request = retriever.SearchRequest(
            text=turn_.text,
            character=turn_.character,
            guild=turn_.guild,
            history=turn_.history[-HISTORY_LINES:],
            limit=self._passages,
        )
        try:
            facts.found, degraded = await asked.ask_or(
                NO_KNOWLEDGE, "retriever", "search", request, n=0, within_s=within_s
            )
        except errors.Refused:
            degraded = True
        if degraded:
            facts.degrade(NO_KNOWLEDGE.path)
        for name in facts.found.degraded:
            facts.degrade(name)

    async def advise(
        self,
        turn_: turn.Turn,
        attempt: int,
        failures: tuple[tuning.Failure, ...],
        facts: Facts,
        asked: steps.Steps,
        left_s: float,
    ) -> None:
        """Put the advice for `attempt` into `facts`; the base advice when nobody answers."""
        request = tuning.AdviseRequest(
            character=turn_.character,
            origin=turn_.origin,
            attempt=attempt,
            topic=turn_.text,
            failures=failures,
        )
        try:
            facts.advice, degraded = await asked.ask_or(
                BASE_ADVICE, "tuning", "advise", request, n=attempt, within_s=min(FACT_S, left_s)
            )
        except errors.Refused:
            facts.advice, degraded = BASE_ADVICE.value, True
        if degraded:
            facts.degrade(BASE_ADVICE.path)


NO_PROMPT = characters.Prompt(
    character="",
    name="",
    version="",
    system="",
    fallbacks=characters.Fallbacks(failed=(), busy=(), unknown=()),
)
"""Stands for "nobody answered yet"; compared by identity."""
