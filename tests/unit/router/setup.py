"""A turn's whole company over the bus in memory: everybody a router asks, under a test's control."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Collection

import anyio
import anyio.lowlevel

from svc.bus import connection, errors, job, memory, service, subjects
from svc.router import settings, turns
from svc.wire import base, characters, coordinator, llm, message, quality, retriever, tuning, turn
from tests.unit import fake_redis, serving

FAILED = ("Huh.", "Never mind.")
BEER = retriever.Passage(id="p1", text="Beer is old.", title="Beer")


class Company:
    """Characters, retriever, tuning, model and gate. `drafts` are what the model writes, attempt by attempt;
    the gate accepts what is in `good`. A name in `away` refuses everything."""

    def __init__(
        self,
        *drafts: str,
        good: tuple[str, ...] = ("Beer!",),
        away: Collection[str] = (),
        absent: Collection[str] = (),
    ) -> None:
        self.bus = connection.Connection(memory.Memory(), "company")
        self.redis = fake_redis.FakeRedis()
        self.drafts = drafts or ("Beer!",)
        self.good = good
        self.model = "tiny"
        self.away: set[str] = set(away)
        self.silent: set[str] = set()
        """These take a request and never answer."""
        self.absent: set[str] = set(absent)
        """Nobody runs these."""
        self.since = 0
        """The newest line of a person, as the coordinator sees it."""
        self.since_later: int | None = None
        """The same when asked for the second time."""
        self.prompts: list[characters.PromptRequest] = []
        self.searches: list[retriever.SearchRequest] = []
        self.advices: list[tuning.AdviseRequest] = []
        self.generations: list[llm.GenerateRequest] = []
        self.assessments: list[quality.AssessRequest] = []
        self.assessing = anyio.Event()
        """Set once the gate was asked."""
        self.judge = anyio.Event()
        """The gate waits for this."""
        self.judge.set()

    def runner(self) -> turns.Runner:
        return turns.Runner(self.bus, self.redis.cache(), settings.Settings())

    async def _check(self, name: str) -> None:
        if name in self.away:
            raise errors.Refused("away", f"{name} is away")
        if name in self.silent:
            await anyio.sleep_forever()

    async def floor(self, request: coordinator.FloorRequest, job_: job.Job) -> coordinator.Floor:
        await self._check("coordinator")
        again = job_.subject.n != "0" and self.since_later is not None
        since = self.since_later if again else self.since
        return coordinator.Floor(channel=request.channel, since=since or 0)

    async def prompt(self, request: characters.PromptRequest, _job: job.Job) -> characters.Prompt:
        self.prompts.append(request)
        await self._check("characters")
        return characters.Prompt(
            character=request.character,
            name="Peter Griffin",
            version="v1",
            system="You are Peter.",
            openers=("Holy crap,",),
            stop=("\nBrian:",),
            fallbacks=characters.Fallbacks(failed=FAILED, busy=("Busy.",), unknown=("Dunno.",)),
        )

    async def search(self, request: retriever.SearchRequest, _job: job.Job) -> retriever.Passages:
        self.searches.append(request)
        await self._check("retriever")
        return retriever.Passages(passages=(BEER,), index="i1")

    async def advise(self, request: tuning.AdviseRequest, _job: job.Job) -> tuning.Advice:
        self.advices.append(request)
        await self._check("tuning")
        return tuning.Advice(arm="base", guidance=tuple(f"not {one.component}" for one in request.failures))

    async def generate(self, request: llm.GenerateRequest, job_: job.Job) -> llm.Generation:
        self.generations.append(request)
        await self._check("llm")
        draft = self.drafts[min(int(job_.subject.n), len(self.drafts)) - 1]
        candidates = tuple(llm.Candidate(text=text) for text in draft.split("||"))
        return llm.Generation(candidates=candidates, model=self.model)

    async def assess(self, request: quality.AssessRequest, _job: job.Job) -> quality.Assessment:
        self.assessments.append(request)
        self.assessing.set()
        await self.judge.wait()
        await self._check("quality")
        verdicts = tuple(self._verdict(reply) for reply in request.replies)
        best = next((index for index, one in enumerate(verdicts) if one.accepted), 0)
        return quality.Assessment(verdicts=verdicts, best=best)

    def _verdict(self, reply: str) -> quality.Verdict:
        if reply in self.good:
            return quality.Verdict(accepted=True, score=80.0, threshold=60.0)
        parts = (
            quality.Component(name="flow", score=50.0, weight=0.5, floor=10.0),
            quality.Component(name="engagement", score=20.0, weight=0.5, floor=15.0),
        )
        return quality.Verdict(
            accepted=False, score=35.0, threshold=60.0, components=parts, reason=f"{reply!r} is dull"
        )

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        generate = (llm.GenerateRequest, llm.Generation, self.generate)
        services = (
            service.Service(
                "coordinator",
                (service.Answer("floor", coordinator.FloorRequest, coordinator.Floor, self.floor, 2),),
            ),
            service.Service(
                "characters",
                (service.Answer("prompt", characters.PromptRequest, characters.Prompt, self.prompt, 2),),
            ),
            service.Service(
                "retriever",
                (service.Answer("search", retriever.SearchRequest, retriever.Passages, self.search, 2),),
            ),
            service.Service(
                "tuning", (service.Answer("advise", tuning.AdviseRequest, tuning.Advice, self.advise, 2),)
            ),
            service.Service(
                "llm",
                (
                    service.Answer("generate", *generate, slots=2),
                    service.Answer("banter", *generate, slots=2),
                ),
            ),
            service.Service(
                "quality",
                (service.Answer("assess", quality.AssessRequest, quality.Assessment, self.assess, 2),),
            ),
        )
        present = [one for one in services if one.name not in self.absent]
        async with serving.serving(self.bus, *present):
            yield

    async def outcome(self, turn_id: str) -> turn.Ended:
        stored = await self.bus.ended(turn_id)
        assert stored is not None
        return base.decode(stored.data, turn.Ended)

    async def said(self, turn_id: str) -> list[message.Say]:
        stored = await self.bus.broker.latest("SAY", [subjects.of_turn(turn_id, "say")])
        return [base.decode(one.data, message.Say) for one in stored]


def a_turn(
    turn_id: str = "t1",
    text: str = "What's your favorite beer?",
    *,
    origin: turn.Origin = "user",
    left_s: float = 30.0,
    history: tuple[message.Utterance, ...] = (),
    channel: str = "console-main",
    since: int = 0,
) -> turn.Turn:
    return turn.Turn(
        id=turn_id,
        origin=origin,
        character="peter",
        surface="console",
        channel=channel,
        message=f"m-{turn_id}",
        native=f"n-{turn_id}",
        text=text,
        author=message.Author(id="1", name="Ann"),
        history=history,
        heard=len(history),
        at=time.time(),
        expires_at=time.time() + left_s,
        since=since,
    )


def a_job(company: Company, turn_: turn.Turn, *, deliveries: int = 1) -> job.Job:
    return job.Job(
        bus=company.bus,
        subject=subjects.parse(subjects.turn(turn_.origin, turn_.character, turn_.id)),
        deadline=time.time() + 30.0,
        stored_at=time.time(),
        sequence=1,
        deliveries=deliveries,
    )
