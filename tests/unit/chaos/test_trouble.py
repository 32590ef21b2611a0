"""Strikes hit the process they are meant for, in their order, and nobody is left hanging."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from svc import errors
from svc.chaos import plan, stage, trouble

pytestmark = pytest.mark.anyio

BOUND_S = 10.0
MESSAGES = tuple(plan.Message(number, f"n{number}", "den", "Beer?", ("peter",)) for number in range(30))


class Company(stage.Stage):
    """Parts that only sleep."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(Path("/nowhere"), subprocess.Popen((sys.executable, "-I", "-S", "-c", "")))
        self.parts = {name: self.sleeper() for name in names}
        self.asked: list[str] = []

    @staticmethod
    def sleeper() -> subprocess.Popen[bytes]:
        return subprocess.Popen((sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"))

    def pid(self, part: str) -> int:
        return self.parts[part].pid if self.parts[part].poll() is None else 0

    async def up(self, part: str) -> int:
        self.asked.append(part)
        return self.parts[part].pid

    def state(self, part: str) -> str:
        return Path(f"/proc/{self.parts[part].pid}/stat").read_text().rpartition(")")[2].split()[0]

    def end(self) -> None:
        self._process.wait()
        for process in self.parts.values():
            process.kill()
            process.wait()


@pytest.fixture
def company() -> Iterator[Company]:
    found = Company(("llm", "cache"))
    yield found
    found.end()


def strike(after: int, part: str, how: plan.How) -> plan.Strike:
    return plan.Strike(after, 0.0, part, how)


def struck(company: Company, *strikes: plan.Strike, hang_s: float = 0.0) -> trouble.Trouble:
    return trouble.Trouble(company, plan.Plan(MESSAGES, strikes), seed=1, hang_s=hang_s)


async def test_each_strike_kills_its_part_once_its_message_is_offered(company: Company) -> None:
    made = struck(company, strike(0, "llm", "kill"), strike(3, "cache", "kill"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        for number in (1, 2, 0):
            await made.may_offer(MESSAGES[number])
        with anyio.fail_after(BOUND_S):
            while company.parts["llm"].poll() is None:
                await anyio.sleep(0.01)
        assert company.parts["cache"].poll() is None
        assert (made.done, made.last) == (1, "kill llm")
        await made.may_offer(MESSAGES[3])
    assert [company.parts[name].wait() for name in ("llm", "cache")] == [-signal.SIGKILL] * 2
    assert made.by_part == {"llm": 1, "cache": 1}
    assert company.asked == ["llm", "cache"]


async def test_people_do_not_run_far_ahead_of_a_strike(company: Company) -> None:
    made = struck(company, strike(0, "llm", "kill"))
    last = trouble.AHEAD
    for number in range(1, last + 1):
        await made.may_offer(MESSAGES[number])
    with anyio.move_on_after(0.05) as held:
        await made.may_offer(MESSAGES[last + 1])
    assert held.cancelled_caught
    await made.may_offer(MESSAGES[0])
    with anyio.fail_after(BOUND_S):
        await made.run()
        await made.may_offer(MESSAGES[last + 1])


async def test_a_part_that_hangs_goes_on(company: Company) -> None:
    made = struck(company, strike(0, "llm", "hang"), strike(0, "cache", "hang"), hang_s=0.3)
    began = time.monotonic()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        await made.may_offer(MESSAGES[0])
        with anyio.fail_after(BOUND_S):
            while company.state("llm") != "T" or company.state("cache") != "T":
                await anyio.sleep(0.01)
    assert time.monotonic() - began >= 0.3
    assert "T" not in (company.state("llm"), company.state("cache"))
    assert made.by_part == {"llm": 1, "cache": 1}


async def test_one_that_hangs_is_waited_for_before_it_is_struck_again(company: Company) -> None:
    made = struck(company, strike(0, "llm", "hang"), strike(0, "llm", "hang"), hang_s=0.1)
    began = time.monotonic()
    with anyio.fail_after(BOUND_S):
        await made.may_offer(MESSAGES[0])
        await made.run()
    assert time.monotonic() - began >= 0.2
    assert made.by_part == {"llm": 2}


async def test_an_interrupted_run_lets_everybody_go_on(company: Company) -> None:
    made = struck(company, strike(0, "llm", "hang"), hang_s=60.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(made.run)
        await made.may_offer(MESSAGES[0])
        with anyio.fail_after(BOUND_S):
            while company.state("llm") != "T":
                await anyio.sleep(0.01)
        tasks.cancel_scope.cancel()
    with anyio.fail_after(BOUND_S):
        while company.state("llm") == "T":
            await anyio.sleep(0.01)


async def test_who_ends_a_part_that_only_hangs_is_wrong(company: Company) -> None:
    made = struck(company, strike(0, "llm", "hang"), hang_s=0.2)
    await made.may_offer(MESSAGES[0])

    async def end() -> None:
        while company.state("llm") != "T":
            await anyio.sleep(0.01)
        company.parts["llm"].kill()
        company.parts["llm"].wait()

    with pytest.raises(BaseExceptionGroup) as raised:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(end)
            tasks.start_soon(made.run)
    assert raised.group_contains(errors.StackError, match="llm only hung")
