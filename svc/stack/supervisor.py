"""Keeps one part running until cancelled: starts it, watches it, starts it again, tells the user."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.abc

from svc import errors
from svc.stack import child, guard, logs, part, progress

BACKOFF_FIRST_S = 0.25
BACKOFF_MAX_S = 30.0
STEADY_S = 30.0
"""Whoever lived this long after being ready starts again with the shortest pause."""
START_S = 180.0
"""A part that isn't ready by then is started anew: a model or a large store may take a minute or two."""
LAST_WORDS_S = 1.0
"""Time to end for a process that closed its pipe without having been ready."""
ATTEMPTS = 3
"""Bad ends in a row after which nobody waits for a part any longer and its log is shown; the stack gives up
when it is an essential one that never came up. A lost race for a port costs one."""


def backoff(failures: int) -> float:
    """Seconds before the next start after `failures` (1, 2, …) bad ends in a row."""
    return min(BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16), BACKOFF_MAX_S)


class Supervisor:
    """Of one part. `run` is started once."""

    def __init__(
        self,
        what: part.Part,
        folder: Path,
        watch: guard.Guard,
        shown: progress.Progress,
        on_ready: Callable[[], None] = lambda: None,
    ) -> None:
        self.part = what
        self.log = logs.Log(folder, what.name)
        self.is_ready = False
        self.pid = 0
        """Of the process that was ready last; it may have ended since."""
        self.settled = anyio.Event()
        """Set once it is ready, or has failed often enough for nobody to wait any longer."""
        self._guard = watch
        self._shown = shown
        self._on_ready = on_ready
        self._ever_ready = False
        self._last_ready = False
        self._blames_owner = False
        self._failures = 0

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Reports `started` when the part is ready for the first time; runs until cancelled, then stops it.

        Raises StackError when an essential part can't be started at all. Nothing else ever gets out.
        """
        fresh = True
        while True:
            self._doing("starting")
            why = await self._live(fresh, task_status)
            hopeless = self._hopeless()
            if hopeless and not self.settled.is_set():
                self._shown.tail(self.part.name, self.log.tail())
                self.settled.set()
            if hopeless and self.part.essential and not self._ever_ready:
                raise errors.StackError(f"{self.part.name} can't be started ({why}): see {self.log.path}")
            fresh = not (self._ever_ready if self.part.essential else self._last_ready)
            pause = max(backoff(self._failures), self.part.owner_pause_s if self._blames_owner else 0.0)
            if not self._tiresome():
                look = f" (see {self.log.path})" if hopeless else ""
                self._shown.failed(self.part.name, f"{why}; next start in {pause:g} s{look}")
            await anyio.sleep(pause)

    async def _live(self, fresh: bool, task_status: anyio.abc.TaskStatus[None]) -> str:
        """One life, from start to end. Says why it ended."""
        began, self._last_ready, self._blames_owner = time.monotonic(), False, False
        try:
            process = await child.Child.start(self.part.launch(fresh), self.log, self._guard)
        except errors.StackError as error:
            self._failures += 1
            return str(error)
        try:
            why = await self._until_ready(process)
            if not why:
                self.pid = process.pid
                self._is_up(time.monotonic() - began, task_status)
                began = time.monotonic()
                why = f"ended unexpectedly: {await process.ended()}"
                if time.monotonic() - began >= STEADY_S:
                    self._failures = 0
        finally:
            self.is_ready = False
            with anyio.CancelScope(shield=True):
                if not await process.stop(self.part.grace_s):
                    self._shown.tell(f"{self.part.name} had to be killed")
        self._failures += 1
        self._blames_owner = process.blames_owner
        return why

    async def _until_ready(self, process: child.Child) -> str:
        """Empty when it is ready, else what happened instead."""
        why = f"not ready after {START_S:g} s"

        async def dies() -> None:
            nonlocal why
            why = f"ended before it was ready: {await process.ended()}"
            race.cancel_scope.cancel()

        with anyio.move_on_after(START_S):
            async with anyio.create_task_group() as race:
                race.start_soon(dies)
                try:
                    if await self.part.ready(process, self._doing):
                        why = ""
                    else:
                        # It let go of the pipe, almost always because it is about to end: that says more.
                        why = "can't get ready"
                        await anyio.sleep(LAST_WORDS_S)
                except errors.StackError as error:
                    why = str(error)
                race.cancel_scope.cancel()
        return why

    def _doing(self, text: str) -> None:
        if not self._tiresome():
            self._shown.doing(self.part.name, text)

    def _hopeless(self) -> bool:
        if self._blames_owner:
            # Even then once more, if that is soon: what the bridge takes for a setting may be a lost race.
            return self._failures > 1 or self.part.owner_pause_s > 0
        return self._failures >= ATTEMPTS

    def _tiresome(self) -> bool:
        """It has been said often enough that this part fails: somebody may be chatting on that terminal."""
        return self._failures > ATTEMPTS

    def _is_up(self, seconds: float, task_status: anyio.abc.TaskStatus[None]) -> None:
        self.is_ready = self._last_ready = True
        self._on_ready()
        self._shown.ready(self.part.name, seconds)
        self.settled.set()
        if not self._ever_ready:
            self._ever_ready = True
            task_status.started()
