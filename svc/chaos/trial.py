"""A run: a stack is started, people talk to it while it is struck, and what came out is counted."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import aiohttp
import anyio
import anyio.to_thread
import msgspec

from svc import errors
from svc.bus import jetstream
from svc.chaos import audit, crowd, plan, report, stage, tally, trouble
from svc.stack import where
from svc.wire import base

QUIET_S = 120.0
"""With nothing new for this long, what is missing is lost: a turn's own deadline is 90 s."""
RELOAD_S = 15.0
"""After this much silence people load their pages anew."""
POLL_S = 0.1
START_S = 30.0
"""Until a stack that is up shows all pages."""
RESULT = "chaos.json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    turns: int
    strikes: int
    seed: int
    hang_s: float = 0.0
    """Parts hang for so long; 0 = they are killed."""
    cut: bool = False
    delay_ms: int = 80
    """How long the model takes for a reply."""
    data: Path | None = None
    """An empty folder that is kept; None = one of our own, kept only if something went wrong."""

    @property
    def how(self) -> plan.How:
        return "hang" if self.hang_s else "kill"

    @property
    def mode(self) -> plan.How:
        return "cut" if self.cut else self.how


class Trial:
    """One run. What goes on can be looked at meanwhile."""

    def __init__(self, asked: Options) -> None:
        self.asked = asked
        self.doing = "starting the stack"
        self._tally = tally.Tally()
        self._crowd: crowd.Crowd | None = None
        self._trouble: trouble.Trouble | None = None

    @property
    def offered(self) -> int:
        return self._crowd.offered if self._crowd else 0

    @property
    def answered(self) -> int:
        return len(self._crowd.shown_at) if self._crowd else 0

    @property
    def strikes(self) -> int:
        return self._trouble.done if self._trouble else 0

    @property
    def last_strike(self) -> str:
        return self._trouble.last if self._trouble else ""

    async def run(self) -> report.Report:
        """Start, strike, count, stop. Raises StackError when the stack doesn't come up, or a part back."""
        with folder(self.asked.data) as data:
            async with stage.standing(data, self.asked.delay_ms) as target:
                found = await self._meet(target)
            if self.asked.data or not found.is_sound:
                found = msgspec.structs.replace(found, data=str(data))
                (data / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
            else:
                await anyio.to_thread.run_sync(shutil.rmtree, data)
            return found

    async def _meet(self, target: stage.Stage) -> report.Report:
        """People and trouble meet on a running stack; then everything is counted."""
        connector = aiohttp.TCPConnector(limit=0)  # every channel's page stays open
        async with aiohttp.ClientSession(connector=connector) as http:
            people = self._crowd = crowd.Crowd(http, target.address, self._tally)
            made = await self._plan(people)
            strikes = self._trouble = trouble.Trouble(
                target, made, seed=self.asked.seed, hang_s=self.asked.hang_s
            )
            async with anyio.create_task_group() as watching:
                self.doing = "opening the pages"
                with anyio.fail_after(START_S):
                    for channel in made.channels:
                        await watching.start(people.watch, channel)
                self.doing = "talking"
                began = time.monotonic()
                async with anyio.create_task_group() as acting:
                    acting.start_soon(strikes.run)
                    acting.start_soon(people.talk, made.messages, strikes.may_offer)
                self.doing = "waiting for the last answers"
                await self._wait(people, made.channels)
                self.doing = "reading the record"
                jet = await jetstream.connect(target.running.nats_url, "chaos")
                try:
                    found = await self._count(people, strikes, audit.Auditor(jet), target, began)
                finally:
                    await jet.close()
                watching.cancel_scope.cancel()
        return found

    async def _plan(self, people: crowd.Crowd) -> plan.Plan:
        return plan.make(
            self.asked.seed,
            turns=self.asked.turns,
            strikes=self.asked.strikes,
            how=self.asked.how,
            cut=self.asked.cut,
            parts=sorted(stage.PARTS),
            cast=await people.cast(),
        )

    async def _wait(self, people: crowd.Crowd, channels: Sequence[str]) -> None:
        """Until everything accepted is answered, or nothing came for so long that it is lost."""
        since, reloads = time.monotonic(), 0
        while self._tally.missing():
            silence = time.monotonic() - max((since, *people.shown_at.values()))
            if silence > QUIET_S:
                return
            if silence < RELOAD_S:
                reloads = 0
            elif silence > RELOAD_S * (reloads + 1):
                await people.reload(channels)
                reloads += 1
            await anyio.sleep(POLL_S)

    async def _count(
        self,
        people: crowd.Crowd,
        strikes: trouble.Trouble,
        auditor: audit.Auditor,
        target: stage.Stage,
        began: float,
    ) -> report.Report:
        unsettled = await auditor.settled()  # the pages stay open: a late double would still be shown
        seconds = time.monotonic() - began
        for receipt in await auditor.receipts():
            self._tally.receive(receipt.number, receipt.asked, receipt.post)
        outcomes = await auditor.outcomes()
        verdict = self._tally.verdict()
        turns = [self._tally.turn_of(asked) for asked in verdict.accepted]
        made = audit.generations(target.generations)
        wrong = tuple(self._tally.turn_of(asked) for asked in (*verdict.lost, *verdict.duplicated))
        await _save(auditor, target.data, wrong)
        return report.Report(
            seed=self.asked.seed,
            mode=self.asked.mode,
            turns=people.offered,
            accepted=len(verdict.accepted),
            answered=len(verdict.answered),
            lost=len(verdict.lost),
            duplicated=len(verdict.duplicated),
            strays=len(verdict.strays),
            outcomes=dict(Counter(each for turn in turns for each in outcomes.get(turn, ()))),
            undecided=sum(len(outcomes.get(turn, ())) != 1 for turn in turns),
            generations_per_attempt_max=max(made.values(), default=0),
            generations=made.total(),
            reloaded=len(people.reloaded),
            kills=strikes.by_part.total(),
            kills_by_part=dict(sorted(strikes.by_part.items())),
            cut_bytes=strikes.cut,
            unsettled=unsettled,
            dead=await auditor.dead(),
            seconds=round(seconds, 1),
            latency_ms=report.latency(
                [max(0.0, people.shown_at[asked] - people.accepted_at[asked]) for asked in verdict.answered]
            ),
            broker_back_s=report.returns(strikes.broker_back_at, list(people.shown_at.values())),
            lost_turns=wrong[: len(verdict.lost)],
            duplicated_turns=wrong[len(verdict.lost) :],
        )


async def _save(auditor: audit.Auditor, data: Path, turns: Sequence[str]) -> None:
    """What the record has about turns that went wrong, as `quahog turn --json` prints it."""
    for turn in filter(None, turns):
        (data / f"turn-{turn}.json").write_bytes(base.encode(await auditor.turn(turn)) + b"\n")


@contextlib.contextmanager
def folder(asked: Path | None) -> Iterator[Path]:
    """The data folder. One of our own doesn't survive an interruption; after any other trouble it stays.

    Raises ConfigError for one that is not empty: a run fills it with made-up talk.
    """
    if asked is not None:
        data = asked.expanduser().absolute()
        if running := where.read(data):
            raise errors.ConfigError(
                f"quahog runs on {data} (pid {running.pid}): chaos needs a folder of its own, or none"
            )
        if data.exists() and (not data.is_dir() or any(data.iterdir())):
            raise errors.ConfigError(f"{data} is not an empty folder: name another one, or none")
        yield data
        return
    data = Path(tempfile.mkdtemp(prefix="quahog-chaos-"))
    try:
        yield data
    except Exception:
        raise
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
