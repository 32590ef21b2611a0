"""Carrying out the strikes of a plan: kill, hang, and one power cut."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import Counter

import anyio
import anyio.abc

from svc import errors
from svc.chaos import plan, powercut, stage
from svc.stack import ports, probe

AHEAD = 12
"""Messages that may be offered beyond a strike which waits for its part to come back."""
DIES_S = 5.0
"""A killed broker has let go of its port by then."""


class Trouble:
    """Strikes in their order, each when its message has been offered."""

    def __init__(self, target: stage.Stage, asked: plan.Plan, *, seed: int, hang_s: float) -> None:
        self._stage = target
        self._strikes = asked.strikes
        self._seed = seed
        self._hang_s = hang_s
        self._offered = [anyio.Event() for _ in asked.messages]
        self._struck = [anyio.Event() for _ in asked.strikes]
        self._hanging: dict[str, tuple[int, anyio.Event]] = {}
        """Part -> its process, and what is set when it goes on."""
        self.by_part: Counter[str] = Counter()
        self.cut: dict[str, int] = {}
        """Stream -> bytes that the power cut took."""
        self.broker_back_at: list[float] = []
        """`time.monotonic` when the broker answered again, once for every time it was struck."""
        self.last = ""
        """What was done last, for a person."""

    @property
    def done(self) -> int:
        return sum(struck.is_set() for struck in self._struck)

    async def may_offer(self, message: plan.Message) -> None:
        """Hold a message until no strike is overdue: the last strikes must still fall on fresh turns."""
        for strike, struck in zip(self._strikes, self._struck, strict=True):
            if strike.after + AHEAD < message.number:
                await struck.wait()
        self._offered[message.number].set()

    async def run(self) -> None:
        """Until the last strike is over. Raises StackError when a part doesn't come back."""
        try:
            async with anyio.create_task_group() as tasks:
                for strike, struck in zip(self._strikes, self._struck, strict=True):
                    await self._offered[strike.after].wait()
                    await anyio.sleep(strike.pause_s)
                    await self._carry_out(strike, tasks)
                    struck.set()
        finally:
            for part in tuple(self._hanging):
                self._go_on(part)

    async def _carry_out(self, strike: plan.Strike, tasks: anyio.abc.TaskGroup) -> None:
        if strike.part in self._hanging:
            await self._hanging[strike.part][1].wait()
        pid = await self._stage.up(strike.part)
        self.last = f"{strike.how} {strike.part}"
        if strike.how == "hang":
            os.kill(pid, signal.SIGSTOP)
            self._hanging[strike.part] = pid, anyio.Event()
            tasks.start_soon(self._resume, strike.part, pid)
        elif strike.how == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            await self._cut_power(pid)
        if strike.how != "cut":
            self.by_part[strike.part] += 1
        if strike.part == plan.BROKER:
            tasks.start_soon(self._time_return)

    async def _resume(self, part: str, pid: int) -> None:
        await anyio.sleep(self._hang_s)
        if self._stage.pid(part) != pid:
            raise errors.StackError(f"{part} only hung for {self._hang_s:g} s, and somebody ended it")
        self._go_on(part)

    def _go_on(self, part: str) -> None:
        pid, goes_on = self._hanging.pop(part)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        goes_on.set()

    async def _cut_power(self, pid: int) -> None:
        """The supervisor is frozen meanwhile: it must not start a server on files that still change."""
        supervisor = self._stage.running.pid
        os.kill(supervisor, signal.SIGSTOP)
        try:
            os.kill(pid, signal.SIGKILL)
            # Its port is let go with the last of its threads: from then on nothing is written any more.
            with anyio.fail_after(DIES_S):
                await probe.until(self._is_dead)
            self.cut = powercut.cut(self._stage.data, self._seed)
        finally:
            os.kill(supervisor, signal.SIGCONT)

    async def _time_return(self) -> None:
        with anyio.move_on_after(stage.BACK_S + self._hang_s):
            port = self._port()
            await probe.until(lambda: _greets(port))
            self.broker_back_at.append(time.monotonic())

    async def _is_dead(self) -> bool:
        return ports.is_free(self._port())

    def _port(self) -> int:
        return self._stage.running.ports[plan.BROKER]


async def _greets(port: int) -> bool:
    """A frozen broker lets people connect, too, but says nothing."""
    return (await probe.ask(ports.HOST, port)).startswith(b"INFO ")
