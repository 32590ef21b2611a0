"""What a turn needs before anything is generated: prompt, passages and advice, asked for in parallel.

Retrieval, advice and the character lookup may degrade, each by a name that the turn's record shows. Without
any pack at all there is no turn: the message comes back later.
"""

from __future__ import annotations

import dataclasses
import time

import anyio
import msgspec

from svc.bus import api, calls, errors, subjects
from svc.wire import base, characters, envelope, retriever, tuning, turn

FACT_S = 4.0
"""One lookup; none of them runs a model."""
HISTORY_LINES = 4
"""What the retriever needs to resolve "he" and "that one"."""
AWAY = (errors.NoReply, errors.NotAccepted, errors.Overloaded, errors.Refused)


@dataclasses.dataclass(slots=True)
class Facts:
    prompt: characters.Prompt
    found: retriever.Passages = retriever.Passages()  # noqa: RUF009 - frozen
    advice: tuning.Advice = tuning.Advice()  # noqa: RUF009 - frozen
    degraded: list[str] = dataclasses.field(default_factory=list[str])

    def degrade(self, name: str) -> None:
        if name not in self.degraded:
            self.degraded.append(name)


class Gatherer:
    """Asks, and remembers the last prompt of each character for when nobody answers."""

    def __init__(self, bus: api.Bus, passages: int) -> None:
        self._bus = bus
        self._passages = passages
        self._prompts: dict[str, characters.Prompt] = {}

    async def gather(self, turn_: turn.Turn, scope: calls.Scope) -> Facts:
        """All three at once. Raises Retry when there is no pack to speak with yet."""
        facts = Facts(prompt=NO_PROMPT)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._prompt, turn_, facts, _unrefused(scope, turn_.id))
            tasks.start_soon(self._search, turn_, facts)
            tasks.start_soon(self.advise, turn_, 1, (), facts)
        if facts.prompt is NO_PROMPT:
            raise errors.Retry(f"nobody knows how to speak as {turn_.character} right now")
        return facts

    async def _prompt(self, turn_: turn.Turn, facts: Facts, n: int) -> None:
        request = characters.PromptRequest(character=turn_.character, guild=turn_.guild, topic=turn_.text)
        try:
            facts.prompt = await self._bus.call(
                "characters",
                "prompt",
                request,
                characters.Prompt,
                turn=turn_.id,
                n=n,
                within_s=_within(turn_),
            )
            self._prompts[turn_.character] = facts.prompt
        except AWAY:
            facts.prompt = self._prompts.get(turn_.character, NO_PROMPT)
            facts.degrade("cached_pack")

    async def _search(self, turn_: turn.Turn, facts: Facts) -> None:
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
            facts.found = await self._bus.call(
                "retriever",
                "search",
                request,
                retriever.Passages,
                turn=turn_.id,
                within_s=_within(turn_),
            )
        except AWAY:
            facts.degrade("no_knowledge")
        for name in facts.found.degraded:
            facts.degrade(name)

    async def advise(
        self,
        turn_: turn.Turn,
        attempt: int,
        failures: tuple[tuning.Failure, ...],
        facts: Facts,
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
            facts.advice = await self._bus.call(
                "tuning",
                "advise",
                request,
                tuning.Advice,
                turn=turn_.id,
                n=attempt,
                within_s=_within(turn_),
            )
        except AWAY:
            facts.advice = tuning.Advice()
            facts.degrade("base_advice")


def _within(turn_: turn.Turn) -> float:
    return min(FACT_S, turn_.expires_at - time.time())


def _unrefused(scope: calls.Scope, turn_id: str) -> int:
    """The number under which the prompt is asked for: not one under which it was refused already.

    A request that came too late is refused on the record, and the same number would give that for ever.
    """
    n = 0
    while (data := scope.known(subjects.reply("characters", "prompt", turn_id, n))) is not None:
        if isinstance(base.decode(data, envelope.Reply).refusal, msgspec.UnsetType):
            break
        n += 1
    return n


NO_PROMPT = characters.Prompt(
    character="",
    name="",
    version="",
    system="",
    fallbacks=characters.Fallbacks(failed=(), busy=(), unknown=()),
)
"""Stands for "nobody answered yet"; compared by identity."""
