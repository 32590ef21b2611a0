"""`quahog up`: the embedded stack of one machine, from its start to its clean end."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import anyio
import anyio.abc

from svc import errors
from svc.stack import (
    broker,
    chroma,
    given,
    guard,
    lock,
    options,
    part,
    ports,
    progress,
    services,
    supervisor,
    valkey,
    where,
)

BRIDGE = "bridge"
"""The service that opens ports of its own, and may move with them when it is started again."""
CHAT = "router"
"""The port of the bridge that people open in a browser."""

Server = type[broker.Broker] | type[valkey.Valkey] | type[chroma.Chroma]
SERVERS: Mapping[str, tuple[Server, Callable[[str], Awaitable[None]]]] = {
    "QUAHOG_NATS_URL": (broker.Broker, given.check_nats),
    "QUAHOG_CACHE_URL": (valkey.Valkey, given.check_cache),
    "QUAHOG_CHROMA_URL": (chroma.Chroma, given.check_chroma),
}
"""Where the user may name a server -> what is started when not, and how a named one is looked at."""
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(asked: options.Options) -> int:
    """Start everything, keep it running, and stop it when asked to; the process's exit status.

    Blocks; call it from the main thread. Ctrl-C, SIGTERM and SIGHUP stop it in order, within 5 seconds; a
    second one kills what is left. Raises StackError or ConfigError when it can't start.
    """
    asked = dataclasses.replace(asked, data=asked.data.expanduser().absolute())
    shown = progress.choose()
    stack = Stack(asked, shown)
    with lock.hold(asked.data) as held, guard.standing(held) as watch:
        try:
            anyio.run(stack.run, watch)
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            where.remove(asked.data)
    return 0


class Stack:
    """All parts of one stack, and the order of their lives: infrastructure outlives the services."""

    def __init__(self, asked: options.Options, shown: progress.Progress) -> None:
        """Raises ConfigError for options that make no sense, StackError when a server isn't installed."""
        self._asked = asked
        self._shown = shown
        self._started = time.time()
        self._version = importlib.metadata.version("quahog")
        self._names = asked.services()
        asked.cast()  # a token of nobody is told before anything starts
        self._ports = ports.Ports({**ports.wanted(asked.environ), **asked.ports}, shown.tell)
        self._given = {each: url for each in SERVERS if (url := asked.environ.get(each, ""))}
        self._servers = {
            variable: kind(asked.data, self._ports, asked.environ)
            for variable, (kind, _) in SERVERS.items()
            if variable not in self._given
        }
        self._keepers: list[supervisor.Supervisor] = []
        """Of every part that was started."""
        self._is_final = False
        """The addresses are: the infrastructure is up, and others may be told."""

    @property
    def address(self) -> str:
        """Of the chat in the browser; "" when the bridge isn't started."""
        return f"http://{ports.HOST}:{self._ports.numbers[CHAT]}/" if BRIDGE in self._names else ""

    @property
    def urls(self) -> dict[str, str]:
        """QUAHOG_NATS_URL and its like; final once the infrastructure is up."""
        return self._given | {variable: server.url for variable, server in self._servers.items()}

    async def run(self, watch: guard.Guard) -> None:
        """From start to end; returns when somebody asked to stop."""
        stopping = anyio.CancelScope()
        async with anyio.create_task_group() as signals:
            await signals.start(self._obey, stopping, watch)
            async with anyio.create_task_group() as infrastructure:
                # Outside of `stopping`: it is told to stop only when every service is gone.
                try:
                    with stopping:
                        await self._serve(infrastructure, watch)
                finally:
                    infrastructure.cancel_scope.cancel()
            signals.cancel_scope.cancel()
        self._shown.tell("stopped")

    async def _obey(
        self, stopping: anyio.CancelScope, watch: guard.Guard, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        obeyed = [number for number in STOP if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
        with anyio.open_signal_receiver(*obeyed) as received:
            task_status.started()
            async for _ in received:
                if stopping.cancel_called:
                    watch.kill_all()
                else:
                    self._shown.tell("stopping (once more to stop at once)")
                    stopping.cancel()

    async def _serve(self, infrastructure: anyio.abc.TaskGroup, watch: guard.Guard) -> None:
        """Start everything, then stay until the terminal chat ends or we are cancelled."""
        began, logs = time.monotonic(), self._asked.data / "logs"
        async with anyio.create_task_group() as tasks:
            async with self._shown.starting():
                for variable, url in self._given.items():
                    await SERVERS[variable][1](url)
                    self._shown.tell(f"using the server named by {variable}")
                servers = self._keep(self._servers.values(), logs, watch)
                async with anyio.create_task_group() as starting:
                    for keeper in servers:
                        starting.start_soon(infrastructure.start, keeper.run)
                self._is_final = True
                self._note()
                # All at once: each waits for what it needs, and two cores are best used by whoever is ready.
                built = services.build(self._asked, self.urls, self._ports)
                keepers = self._keep(built, logs, watch)
                for keeper in keepers:
                    tasks.start_soon(keeper.run)
                for keeper in keepers:
                    await keeper.settled.wait()
            self._report(keepers, time.monotonic() - began)
            await self._chat()
            tasks.cancel_scope.cancel()

    def _keep(
        self, parts: Iterable[part.Part], logs: Path, watch: guard.Guard
    ) -> list[supervisor.Supervisor]:
        kept = [supervisor.Supervisor(each, logs, watch, self._shown, on_ready=self._note) for each in parts]
        self._keepers += kept
        return kept

    def _note(self) -> None:
        """Tell the other commands where everything is (again: the bridge may have moved, a part died)."""
        if not self._is_final:
            return
        running = where.Running(
            pid=os.getpid(),
            birth=where.birth(os.getpid()),
            started=self._started,
            version=self._version,
            address=self.address,
            nats_url=self.urls["QUAHOG_NATS_URL"],
            cache_url=self.urls["QUAHOG_CACHE_URL"],
            chroma_url=self.urls["QUAHOG_CHROMA_URL"],
            ports=self._ports.numbers,
            parts={keeper.part.name: keeper.pid for keeper in self._keepers if keeper.pid},
        )
        try:
            where.write(self._asked.data, running)
        except OSError as error:
            self._shown.tell(
                f"{where.FILE} can't be written ({error.strerror}): other commands won't find us"
            )

    def _report(self, keepers: Sequence[supervisor.Supervisor], seconds: float) -> None:
        missing = [keeper.part.name for keeper in keepers if not keeper.is_ready]
        for keeper in keepers:
            if not keeper.is_ready:
                self._shown.tell(f"{keeper.part.name} isn't up; it is tried again, see {keeper.log.path}")
        without = f" without {', '.join(missing)}" if missing else ""
        self._shown.tell(f"quahog is up in {seconds:.1f} s{without}")
        if not self.address:
            self._shown.tell(f"NATS: {self.urls['QUAHOG_NATS_URL']}")
        else:
            self._shown.tell(f"chat{', once the bridge is up' if BRIDGE in missing else ''}: {self.address}")

    async def _chat(self) -> None:
        """The terminal chat where there is a terminal; else until cancelled."""
        terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if self._asked.prompt and self._asked.console and terminal:
            try:
                await self._asked.prompt(self.address)
                return
            except Exception as error:
                self._shown.tell(
                    f"the terminal chat ended ({error}); everything else goes on, Ctrl-C stops it"
                )
        else:
            self._shown.tell("Ctrl-C stops it")
        await anyio.sleep_forever()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error made for people inside a group of errors; the group itself when there is none."""
    ours = group.subgroup(errors.QuahogError)
    found: BaseException = ours or group
    while isinstance(found, BaseExceptionGroup) and ours is not None:
        found = found.exceptions[0]
    return found
