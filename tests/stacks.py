"""The whole stack in a process of its own, as a user starts it: real servers, real services, free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from svc.stack import ports, where

READY_S = 90.0
STOP_S = 15.0


class Stack:
    """One `quahog up` and the commands that talk to it."""

    def __init__(self, data: Path, **settings: str) -> None:
        """`settings` are environment variables without their prefix, in lower case: `engine="instant"`."""
        self.data = data
        self.log = data.with_suffix(".log")
        free = json.dumps(dict.fromkeys(ports.STANDARD, 0))
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("QUAHOG_", "DISCORD_"))}
        given = {f"QUAHOG_{name.upper()}": value for name, value in settings.items()}
        self.environ = {**inherited, "QUAHOG_PORTS": free, "QUAHOG_ENGINE": "llamacpp", **given}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start and wait until everything is ready; how long that took, in seconds."""
        began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "svc", "up", "--no-console", "--data", str(self.data)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environ,
            )
        while "quahog is up" not in self.text():
            if self.process.poll() is not None or time.monotonic() - began > READY_S:
                raise AssertionError(f"the stack did not start:\n{self.text()}\n{self.logs()}")
            time.sleep(0.05)
        return time.monotonic() - began

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def logs(self) -> str:
        """The end of every part's log."""
        found = sorted((self.data / "logs").glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in found)

    @property
    def running(self) -> where.Running:
        found = where.read(self.data)
        assert found is not None, self.text()
        return found

    def children(self) -> dict[int, str]:
        """Every process below this stack's own: pid -> command line."""
        parents: dict[int, int] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        below = {self.process.pid} if self.process else set()
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        return {pid: command(pid) for pid in below if self.process and pid != self.process.pid}

    def pid(self, part: str) -> int:
        """Of a service (`svc run NAME`) or a server (`nats-server`)."""
        return next(pid for pid, line in self.children().items() if part in line)

    def quahog(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command against this stack."""
        return subprocess.run(
            (sys.executable, "-m", "svc", *words, "--data", str(self.data)),
            capture_output=True,
            text=True,
            env=self.environ,
            timeout=120,
            check=False,
        )

    def ask(self, character: str, text: str, *words: str) -> dict[str, Any]:
        """`quahog ask … --json`."""
        done = self.quahog("ask", character, text, "--json", *words)
        assert done.returncode in (0, 3), f"{done.stderr}\n{self.logs()}"
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def turn(self, turn: str) -> dict[str, Any]:
        """`quahog turn … --json`."""
        done = self.quahog("turn", turn, "--json")
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def stop(self, how: signal.Signals = signal.SIGINT) -> float:
        """Stop it and wait for its end; how long that took, in seconds."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(how)
        self.process.wait(STOP_S)
        return time.monotonic() - began


def command(pid: int) -> str:
    """The command line of a process; "" when it is gone, or only waits to be buried."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    return ""


@contextlib.contextmanager
def running(data: Path, **settings: str) -> Iterator[Stack]:
    stack = Stack(data, **settings)
    stack.start()
    try:
        yield stack
    finally:
        if stack.process is not None and stack.process.poll() is None:
            stack.stop()
