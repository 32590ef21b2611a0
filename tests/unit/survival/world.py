"""A whole deployment in memory: every service a process of its own that may die at any moment.

Real are the bus, the coordinator, the router, tuning and the console's poster; the others are scripted
(`cast`). `World.play` lets people say things until nothing is left to do; `verdict.problems` then says in
sentences what is not as it must be. Every test of this folder demands that there be none.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio

from svc import config
from svc.bridge import posting
from svc.bus import api, connection, job, serve, service, subjects
from svc.coordinator import service as table
from svc.router import service as router
from svc.tuning import ledger
from svc.tuning import service as tuning
from svc.wire import coordinator, message
from tests.unit import fake_redis
from tests.unit.survival import cast, clock, fate, sloppy

SURFACE = "console"
SERVICES = ("characters", "retriever", "llm", "quality", "tuning", "router", "coordinator", "console")
SLOTS = 3
"""Of every handler: enough for work side by side, and idle ones cost time."""
SECONDS = {"llm": 2.0, "quality": 0.2}
"""How long a handler works; `QUICK_S` for the others."""
QUICK_S = 0.01
QUIET_S = 300.0
"""By then every turn has ended, whatever happened."""
LOOK_S = 1.0
LINES = 100
"""More than any channel here has."""


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """Somebody says something."""

    refuse: int = 0
    """Drafts that the gate refuses."""
    to: tuple[str, ...] = (cast.PETER,)
    channel: str = "console-main"
    after_s: float = 0.0
    """Seconds after the message before."""


class World:
    """`instances`: processes of each service (`router`, `router-2`, …)."""

    def __init__(
        self,
        faults: Iterable[fate.Fault] = (),
        *,
        instances: int = 1,
        server: Callable[[Callable[[], float]], sloppy.Sloppy] = sloppy.Sloppy,
    ) -> None:
        self.faults = tuple(faults)
        self.done: collections.Counter[str] = collections.Counter()
        """Reply subject -> times its work was done to the end."""
        self.allowed: collections.Counter[str] = collections.Counter()
        """Reply subject -> times its work may be done again: a fault fell before the record."""
        self.again: list[str] = []
        """Reply subjects of work that was begun although the reply was recorded."""
        self.paid: set[str] = set()
        """Reply subjects of work that must never be done again."""
        self.effects: dict[str, tuple[str, ...]] = {}
        """Of each process, until everything was quiet."""
        self.accepted: list[message.Heard] = []
        self.histories: dict[str, list[str]] = {}
        """Channel -> its lines, as the coordinator tells them in the end."""
        self.tallied = 0
        """Outcomes that tuning counted."""
        self.left = ""
        """What was not finished in time."""
        self._make = server
        self._instances = instances
        self._processes: dict[str, fate.Process] = {}

    def play(self, *said: Said) -> World:
        clock.run(lambda: self._play(said))
        return self

    async def _play(self, said: Sequence[Said]) -> None:
        self.server = self._make(clock.wall)
        self._shared = fake_redis.FakeRedis()
        openers = cast.Troupe().openers() | {
            "tuning": tuning.open,
            "router": router.open,
            "coordinator": table.open,
            "console": _console,
        }
        async with anyio.create_task_group() as tasks:
            for number in range(1, self._instances + 1):
                for name in SERVICES:
                    process = self._process(name if number == 1 else f"{name}-{number}")
                    tasks.start_soon(process.live, self._host(openers[name]))
            for process in self._processes.values():
                await process.ready.wait()
            surface = connection.Connection(self.server, SURFACE)
            for number, one in enumerate(said, 1):
                await anyio.sleep(one.after_s)
                await self._say(surface, one, number)
            with anyio.move_on_after(QUIET_S) as waiting:
                await self._quiet()
            if waiting.cancelled_caught:
                self.left = ", ".join(self.server.unfinished()) or "somebody who stands still"
            self.effects = {name: tuple(process.effects) for name, process in self._processes.items()}
            await self._remember(surface)
            tasks.cancel_scope.cancel()

    def _process(self, name: str) -> fate.Process:
        process = self._processes[name] = fate.Process(name, self.server, self._shared)
        process.faults = {fault.point: fault for fault in self.faults if fault.process == name}
        process.stricken = self._stricken
        return process

    def _host(self, opener: service.Opener) -> Callable[[fate.Life], Awaitable[None]]:
        async def host(life: fate.Life) -> None:
            bus = life.bus()
            async with anyio.create_task_group() as tasks:
                app = service.App(bus=bus, cache=life.shared(), common=config.Common(), tasks=tasks)
                async with opener(app) as opened:
                    answers = [
                        dataclasses.replace(answer, handler=self._watched(life, answer), slots=SLOTS)
                        for answer in opened.answers
                    ]
                    listens = [dataclasses.replace(listen, slots=SLOTS) for listen in opened.listens]
                    served = dataclasses.replace(opened, answers=tuple(answers), listens=tuple(listens))
                    await serve.Server(bus, served).run(anyio.Event(), life.process.ready.set)

        return host

    async def _say(self, surface: api.Bus, said: Said, number: int) -> None:
        native = f"n{number}"
        heard = message.Heard(
            message=subjects.message_id(SURFACE, native),
            native=native,
            surface=SURFACE,
            channel=said.channel,
            author=message.Author(id="1", name="Ann"),
            text=cast.text(said.refuse, number),
            to=said.to,
            at=clock.wall(),
        )
        await surface.publish(subjects.event("message", "heard", heard.message), heard)
        self.accepted.append(heard)

    async def _quiet(self) -> None:
        """Nothing is left to take or to ack, nobody stands still, and a moment later it is still so."""
        calm = 0
        while calm < 2:
            await anyio.sleep(LOOK_S)
            frozen = any(process.lives[-1].frozen() for process in self._processes.values())
            calm = 0 if frozen or self.server.unfinished() else calm + 1

    async def _remember(self, surface: connection.Connection) -> None:
        """Ask who has forgotten everything: every coordinator dies once more, and nothing else goes wrong."""
        for process in self._processes.values():
            process.faults = {}
            if process.name.startswith("coordinator"):
                process.lives[-1].die()
        for channel in {heard.channel for heard in self.accepted}:
            request = coordinator.HistoryRequest(channel=channel, limit=LINES)
            told = await surface.call(
                "coordinator", "history", request, coordinator.History, turn=channel, within_s=QUIET_S
            )
            self.histories[channel] = [line.text for line in told.utterances]
        self.tallied = sum(tally.turns for tally in await ledger.Ledger(surface).tallies())

    # -- watching ---------------------------------------------------------------------------------------

    def _watched(
        self, life: fate.Life, answer: service.Answer[Any, Any]
    ) -> Callable[[Any, job.Job], Awaitable[Any]]:
        """The handler, with its work counted: that it is done is an effect, so a fault may fall there."""

        async def work(request: Any, job_: job.Job) -> Any:
            subject = job_.subject
            key = subjects.reply(subject.a, subject.b, subject.turn, subject.n)
            if answer.paid:
                self.paid.add(key)
            if life.frozen():
                self.allowed[key] += 1  # it had looked into the record before
            elif self.server.has(key):
                self.again.append(key)
            life.work[key] = False

            async def finish() -> None:
                self.done[key] += 1
                life.work[key] = True

            result = await answer.handler(request, job_)
            await anyio.sleep(SECONDS.get(subject.a, QUICK_S))
            await life.effect(f"work {subject.a}.{subject.b}", finish, online=False)
            return result

        return work

    def _stricken(self, life: fate.Life, fault: fate.Fault) -> None:
        """Work that was done and not recorded may be done again; so may what goes on, but is given away."""
        if fault.kind == "cut":
            doubtful = self.server.under_way()
        elif fault.kind in ("crash", "freeze"):
            doubtful = [key for key, done in life.work.items() if done or fault.kind == "freeze"]
        else:
            doubtful = []
        self.allowed.update(key for key in doubtful if not self.server.has(key))


@contextlib.asynccontextmanager
async def _console(_app: service.App) -> AsyncIterator[service.Service]:
    listens = (service.Listen("console", "say.console", message.Say, posting.Posting().post),)
    yield service.Service("console", listens=listens)
