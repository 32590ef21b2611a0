"""The stack that is put to the test: `quahog up` in a process of its own, with nothing of the user's in it.

It runs as anybody starts it, its supervisor included; all we ever learn about it is what it tells every
command (`stack.json`: where the bridge is, which process is which part).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from svc import config, errors
from svc.stack import broker, chroma, guard, lock, logs, options, ports, services, valkey, where

PARTS = frozenset({broker.Broker.name, valkey.Valkey.name, chroma.Chroma.name, *options.SERVICES})
READY_S = 120.0
"""All parts, on a machine that is busy with something else."""
BACK_S = 90.0
"""A part that was struck is ready again by then: 30 s of backoff at most, and its start."""
STOP_S = 15.0
"""`quahog up` promises 5 s; hanging parts are let go before."""
POLL_S = 0.05
GENERATIONS = "generations.jsonl"
OWN = (config.PREFIX, "DISCORD_", services.CHARACTER)
"""How the names of the user's own settings begin."""


class Stage:
    """A running stack."""

    def __init__(self, data: Path, process: subprocess.Popen[bytes]) -> None:
        self.data = data
        self._process = process

    @property
    def running(self) -> where.Running:
        """Raises StackError when the stack is gone: no strike is aimed at the supervisor."""
        found = where.read(self.data)
        if found is None:
            raise errors.StackError(f"the stack has ended by itself: see {self.data / 'logs'}")
        return found

    def address(self) -> str:
        """Of the page, with a slash at its end."""
        return self.running.address

    def pid(self, part: str) -> int:
        """The living process of a part; 0 while it has none that is ready."""
        running = self.running
        pid = running.parts.get(part, 0)
        return pid if pid and _is_child(pid, running.pid) else 0

    async def up(self, part: str) -> int:
        """Wait for a part to be ready; its process. Raises StackError when it doesn't come back."""
        deadline = time.monotonic() + BACK_S
        while time.monotonic() < deadline:
            if pid := self.pid(part):
                return pid
            await anyio.sleep(POLL_S)
        raise errors.StackError(
            f"{part} did not come back within {BACK_S:g} s: see {self.data / 'logs' / part}.log"
        )

    @property
    def generations(self) -> Path:
        """One JSON line for each generation that the engine completed."""
        return self.data / GENERATIONS

    async def ready(self) -> None:
        """Wait for every part. Raises StackError when the stack can't be started."""
        deadline = time.monotonic() + READY_S
        while not self._is_complete():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = " | ".join(logs.Log(self.data / "logs", "up").tail()[-3:])
                raise errors.StackError(f"the stack can't be started: {tail}")
            await anyio.sleep(POLL_S)

    def _is_complete(self) -> bool:
        found = where.read(self.data)
        return found is not None and set(found.parts) >= PARTS

    async def stop(self) -> None:
        """In order if that works, at once if it doesn't; nothing is left running."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
        await anyio.to_thread.run_sync(self._wait)

    def _wait(self) -> None:
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # its reaper kills the rest
            self._process.wait(STOP_S)


@contextlib.asynccontextmanager
async def standing(data: Path, delay_ms: int) -> AsyncIterator[Stage]:
    """A stack on that empty folder, every part ready, stopped at the end. Raises StackError.

    Its model is the instant one, which takes `delay_ms` for a reply and counts what it made.
    """
    stage = Stage(data, _start(data, delay_ms))
    try:
        await stage.ready()
        yield stage
    finally:
        with anyio.CancelScope(shield=True):
            await stage.stop()


def _start(data: Path, delay_ms: int) -> subprocess.Popen[bytes]:
    file = data / GENERATIONS
    settings = {"ENGINE": "instant", "INSTANT_LOG": str(file), "INSTANT_DELAY_MS": str(delay_ms)}
    try:
        (data / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
        with logs.Log(data / "logs", "up").open() as log:
            return subprocess.Popen(
                (sys.executable, "-m", "svc", "up", "--no-console", "--data", str(data)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(os.environ, settings),
                cwd=data,  # the user's own `.env` isn't there
                start_new_session=True,  # a Ctrl-C in the terminal is for us
                preexec_fn=guard.die_with_parent(),
            )
    except OSError as error:
        raise errors.StackError(f"no stack can be started in {data}: {error.strerror or error}") from None


def environment(given: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """What the stack inherits: nothing by which the user's own one is set up, least of all its tokens."""
    free = json.dumps(dict.fromkeys(ports.STANDARD, 0))
    inherited = {name: value for name, value in given.items() if not name.startswith(OWN)}
    ours = {f"{config.PREFIX}{name}": value for name, value in settings.items()}
    return inherited | ours | {ports.VARIABLE: free}


def _is_child(pid: int, parent: int) -> bool:
    """Whether that process lives and is still a child of `parent`: numbers are given away again."""
    try:
        state, above = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        # No such process; or a system without /proc, where a part's number is believed.
        return not Path("/proc/self/stat").exists() and lock.is_alive(str(pid))
    return state != "Z" and int(above) == parent
