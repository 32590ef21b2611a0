"""One process of the stack, from its start to its end: a group of its own that never outlives us."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable

import anyio

from svc import errors, process
from svc.stack import guard, logs, part

READY = b"ready"
READY_BYTES = 1024
KILLED_S = 1.0
"""A killed process that isn't gone by then hangs in the kernel: nobody can wait for that."""


class Child:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process, watch: guard.Guard, ready_fd: int) -> None:
        self.pid = process.pid
        self._process = process
        self._guard = watch
        self._ready_fd = ready_fd

    @classmethod
    async def start(cls, launch: part.Launch, log: logs.Log, watch: guard.Guard) -> Child:
        """Start it, its output going to `log`. Raises StackError when there is nothing to start."""
        reads, writes = os.pipe()
        try:
            # Shielded: asyncio kills a process whose start is cancelled, but nobody would wait for its end.
            with log.open() as file, anyio.CancelScope(shield=True):
                started = await asyncio.create_subprocess_exec(
                    *launch.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=file,
                    stderr=asyncio.subprocess.STDOUT,
                    env={**launch.env, process.READY_FD: str(writes)},
                    pass_fds=(writes,),
                    start_new_session=True,  # a Ctrl-C in the terminal is for us; we stop them in order
                    preexec_fn=guard.die_with_parent(),
                )
        except BaseException as error:
            os.close(reads)
            if isinstance(error, OSError):
                raise errors.StackError(f"{launch.argv[0]} can't be started: {error}") from None
            raise
        finally:
            os.close(writes)
        watch.watch(started.pid)
        return cls(started, watch, reads)

    async def told_ready(self, doing: Callable[[str], None]) -> bool:
        """Wait for `ready` on the pipe; every other line goes to `doing`. False when it closes without."""
        received = b""
        while True:
            await anyio.wait_readable(self._ready_fd)
            chunk = os.read(self._ready_fd, READY_BYTES)
            *lines, received = (received + chunk)[-READY_BYTES:].split(b"\n")
            for line in lines:
                if line == READY:
                    return True
                doing(line.decode(errors="replace"))
            if not chunk:
                return False

    async def ended(self) -> str:
        """Wait for its end; says how it ended, for a person."""
        status = await self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
        return f"killed by signal {-status}"

    @property
    def blames_owner(self) -> bool:
        """It ended because of something that only the owner can put right."""
        return self._process.returncode == process.EXIT_CONFIG

    async def stop(self, grace_s: float) -> bool:
        """Ask it to end, kill it (and whatever it started) after `grace_s`. False when it had to be killed.

        Call it exactly once, also after the process has ended by itself.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        with anyio.move_on_after(grace_s) as grace:
            await self._process.wait()
        # The leader is gone or late; its group may still have members. A group's number isn't given to
        # others while it has any, and is not given away within this moment otherwise.
        guard.kill(self.pid)
        with anyio.move_on_after(KILLED_S):
            await self._process.wait()
        self._guard.forget(self.pid)
        os.close(self._ready_fd)
        return not grace.cancelled_caught
