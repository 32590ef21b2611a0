"""Model services in processes of their own, against a real broker, with the engine that keeps a log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

from svc.bus import connection, jetstream
from svc.wire import base, envelope, llm
from tests import servers

READY_S = 20.0
ANSWER_S = 60.0
LLM = ("svc", "run", "llm")


class ModelProcess:
    """`quahog run llm` with the instant engine, which takes `delay_ms` for a reply; or another program."""

    def __init__(
        self, folder: Path, nats_url: str, name: str, delay_ms: int, program: tuple[str, ...] = LLM
    ) -> None:
        self.generations = folder / f"{name}.jsonl"
        self._log = folder / f"{name}.log"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("QUAHOG_")}
        given = {
            "QUAHOG_NATS_URL": nats_url,
            "QUAHOG_CACHE_URL": f"redis://127.0.0.1:{servers.free_port()}/0",  # nobody there, nothing cached
            "QUAHOG_ENGINE": "instant",
            "QUAHOG_INSTANT_DELAY_MS": str(delay_ms),
            "QUAHOG_INSTANT_LOG": str(self.generations),
        }
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", *program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**inherited, **given},
            )

    def signal(self, how: signal.Signals) -> None:
        self.process.send_signal(how)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait(10)

    def text(self) -> str:
        return self._log.read_text(errors="replace")

    def finished(self) -> Counter[tuple[str, str]]:
        """Completed generations by turn and attempt."""
        lines = self.generations.read_text().splitlines() if self.generations.exists() else []
        return Counter((line["turn"], line["n"]) for line in map(json.loads, lines))


class Pair:
    """A broker, two model processes, and callers."""

    def __init__(self, bus: connection.Connection, processes: tuple[ModelProcess, ModelProcess]) -> None:
        self.bus = bus
        self.processes = processes
        self.answered: dict[str, float] = {}
        """Turn -> when its caller got the answer."""

    async def names(self) -> dict[str, bool | None]:
        """Instances that answer, and whether each says that it is the active one."""
        found = {}
        for one in await self.bus.survey(0.1):
            pins = {endpoint.name: endpoint.data for endpoint in one.endpoints}
            if one.name == "llm" and (pin := pins["generate"]):
                found[one.id] = pin.pinned
        return found

    def process_of(self, instance: str) -> ModelProcess:
        return next(one for one in self.processes if f"-{one.process.pid}-" in instance)

    async def ask(self, turn: str, method: str = "generate") -> None:
        request = llm.GenerateRequest(
            character="peter", messages=(llm.ChatMessage(role="user", content=f"Beer {turn}?"),), fresh=True
        )
        await self.bus.call("llm", method, request, llm.Generation, turn=turn, within_s=ANSWER_S)
        self.answered[turn] = time.time()

    async def active(self) -> ModelProcess:
        """Who works; somebody has to ask for something first."""
        with anyio.fail_after(READY_S):
            while True:
                for name, pinned in (await self.names()).items():
                    if pinned:
                        return self.process_of(name)

    def other(self, process: ModelProcess) -> ModelProcess:
        return next(one for one in self.processes if one is not process)

    async def replies(self) -> dict[str, tuple[float, str]]:
        """Turn -> when its answer was stored, and who gave it; there can be only one per turn."""
        found: dict[str, tuple[float, str]] = {}
        async for stored in self.bus.scan("RECORD", ("rep.llm.>",)):
            reply = base.decode(stored.data, envelope.Reply)
            found[stored.subject.split(".")[3]] = (stored.at, reply.instance)
        return found

    def finished(self) -> Counter[tuple[str, str]]:
        return self.processes[0].finished() + self.processes[1].finished()


@contextlib.asynccontextmanager
async def pair(folder: Path, delay_ms: int, *, first: tuple[str, ...] = LLM) -> AsyncIterator[Pair]:
    """`first` is the program of the process that has answered a turn `warm` before the other was started."""
    with servers.nats_server(folder) as server, contextlib.ExitStack() as ends:
        one = ModelProcess(folder, server.url, "one", delay_ms, first)
        ends.callback(one.end)
        bus = connection.Connection(await jetstream.connect(server.url, "test"), "test")
        try:
            await bus.broker.ensure()
            await Pair(bus, (one, one)).ask("warm")
            two = ModelProcess(folder, server.url, "two", delay_ms)
            ends.callback(two.end)
            made = Pair(bus, (one, two))
            with anyio.fail_after(READY_S):
                while len(await made.names()) < 2:
                    assert one.process.poll() is None, one.text()
                    assert two.process.poll() is None, two.text()
            yield made
        finally:
            with anyio.CancelScope(shield=True):
                await bus.close()
