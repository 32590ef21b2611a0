"""Two model processes, and what becomes of everybody's answers when the active one dies, hangs or stops."""

from __future__ import annotations

import signal
from collections import Counter
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from svc import process
from svc.bus import limits
from svc.wire import status
from tests import model_processes

pytestmark = pytest.mark.anyio

USERS = 8
BANTER = 2
TURNS = [*(f"user{number}" for number in range(USERS)), *(f"banter{number}" for number in range(BANTER))]


async def busy(pair: model_processes.Pair) -> model_processes.ModelProcess:
    """The active process, with all five slots busy and more waiting; who is not on the way to being asked."""
    with anyio.fail_after(model_processes.READY_S):
        while (await pair.bus.queue("llm")) != status.Queue(
            waiting=USERS - limits.MODEL_SLOTS, working=limits.MODEL_SLOTS + BANTER
        ):
            await anyio.sleep(0.01)
    return await pair.active()


def once(*turns: str) -> Counter[tuple[str, str]]:
    """One completed generation for each."""
    return Counter({(turn, "0"): 1 for turn in turns})


async def survive(pair: model_processes.Pair, how: signal.Signals) -> model_processes.ModelProcess:
    """Ask for everything, do that to the active one in the middle, and wait for all answers."""
    with anyio.fail_after(model_processes.ANSWER_S):
        async with anyio.create_task_group() as tasks:
            for turn in TURNS:
                tasks.start_soon(pair.ask, turn, "banter" if turn.startswith("banter") else "generate")
            victim = await busy(pair)
            victim.signal(how)
    return victim


async def test_the_standby_takes_over_from_a_killed_process_whose_slots_are_all_busy(tmp_path: Path) -> None:
    async with model_processes.pair(tmp_path, delay_ms=300) as pair:
        victim = await survive(pair, signal.SIGKILL)
        replies = await pair.replies()
        assert set(pair.answered) == set(TURNS)
        assert set(replies) == {"warm", *TURNS}
        assert pair.finished() == once(*replies)
        by_standby = [turn for turn, (_, who) in replies.items() if pair.process_of(who) is not victim]
        assert len(by_standby) == len(TURNS)
        assert await pair.active() is pair.other(victim)


@pytest.mark.slow
async def test_a_stopped_process_changes_nothing_when_it_wakes_up(tmp_path: Path) -> None:
    async with model_processes.pair(tmp_path, delay_ms=3000) as pair:
        victim = await survive(pair, signal.SIGSTOP)
        victim.signal(signal.SIGCONT)
        with anyio.fail_after(10):
            while len(names := await pair.names()) < 2 or None in names.values():
                await anyio.sleep(0.05)
        assert {pair.process_of(name) is victim: pinned for name, pinned in names.items()} == {
            True: False,
            False: True,
        }
        await pair.ask("after")
        await anyio.sleep(3.5)  # long enough for a generation that the stopped process should have dropped
        assert pair.finished() == once("warm", *pair.answered)
        assert set(await pair.replies()) == {"warm", "after", *TURNS}


@pytest.mark.slow
async def test_a_process_that_is_told_to_stop_gives_its_work_to_the_other(tmp_path: Path) -> None:
    async with model_processes.pair(tmp_path, delay_ms=4000) as pair:  # longer than handlers get to finish
        victim = await survive(pair, signal.SIGTERM)
        assert victim.process.wait(10) == 0
        assert pair.finished() == once("warm", *pair.answered)
        assert set(await pair.replies()) == {"warm", *TURNS}


@pytest.mark.slow
async def test_a_process_whose_engine_hangs_ends_and_the_standby_answers(tmp_path: Path) -> None:
    async with model_processes.pair(tmp_path, delay_ms=100, first=("tests.contract.stuck",)) as pair:
        victim = pair.processes[0]
        with anyio.fail_after(model_processes.ANSWER_S):
            async with anyio.create_task_group() as tasks:
                for turn in ("stuck", "user1", "user2"):
                    tasks.start_soon(pair.ask, turn)
        replies = await pair.replies()
        assert set(replies) == {"warm", "stuck", "user1", "user2"}
        assert pair.process_of(replies["stuck"][1]) is pair.processes[1]
        assert await anyio.to_thread.run_sync(victim.process.wait, 15) == process.EXIT_BROKEN
        assert "llm.generate of stuck has made no progress" in victim.text()
