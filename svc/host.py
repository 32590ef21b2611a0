"""The host: one process that serves one or more services until it is told to stop.

`quahog run SERVICE…` is this. A service says what it answers (`svc.<name>.service.open`); the host gives it
the bus and the cache, reports ready, and on SIGTERM lets handlers finish.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import signal
from collections.abc import Callable, Sequence

import anyio
import uvloop

from svc import cache, config, errors, log, process
from svc.bus import connection, jetstream, limits, serve, service

logger = logging.getLogger("quahog")

SERVICES = (
    "llm",
    "characters",
    "quality",
    "coordinator",
    "tuning",
    "retriever",
    "crawler",
    "router",
    "bridge",
    "discord",
)
CLOSE_S = 1.5
"""For closing what is open, once handlers had their time to finish."""


def run(names: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status."""
    status = 0
    try:
        log.setup("info")  # for what is wrong with the settings themselves
        common = config.read(config.Common)
        log.setup(common.log_level)
        for name in names:
            if name not in SERVICES:
                raise errors.ConfigError(f"no service {name!r}: choose from {', '.join(SERVICES)}")
        uvloop.run(_serve(names, common))
    except* errors.ConfigError as group:
        status = _failed(group, process.EXIT_CONFIG)
    except* errors.QuahogError as group:
        status = status or _failed(group, process.EXIT_BROKEN)
    return status


def _failed(group: BaseExceptionGroup[errors.QuahogError], status: int) -> int:
    for error in _leaves(group):
        logger.critical("%s", error)
    return status


def _leaves(group: BaseExceptionGroup[errors.QuahogError]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found


async def _serve(names: Sequence[str], common: config.Common) -> None:
    stop = anyio.Event()
    reasons: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stop_on_signal, stop)

        def broken(reason: str) -> None:
            if not reasons:
                tasks.start_soon(_end_anyway, reason)
            reasons.append(reason)
            stop.set()

        waiting = [anyio.Event() for _ in names]
        async with anyio.create_task_group() as services:
            for name, ready in zip(names, waiting, strict=True):
                services.start_soon(_serve_one, name, common, stop, ready, broken)
            tasks.start_soon(_tell_ready, waiting)
        tasks.cancel_scope.cancel()
    if reasons:
        raise errors.QuahogError(f"ended, to be started anew: {reasons[0]}")


async def _end_anyway(reason: str) -> None:
    """A handler that hangs in a thread can't be cancelled, and would keep this process for ever."""
    logger.critical("%s: ending, to be started anew", reason)
    await anyio.sleep(limits.STOP_S + CLOSE_S)
    logging.shutdown()
    os._exit(process.EXIT_BROKEN)


async def _serve_one(
    name: str,
    common: config.Common,
    stop: anyio.Event,
    ready: anyio.Event,
    broken: Callable[[str], None],
) -> None:
    opened = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_give_up_opening, stop, opened, tasks.cancel_scope)
        opener: service.Opener = importlib.import_module(f"svc.{name}.service").open
        jet = await jetstream.connect(common.nats_url, name)
        shared = cache.Cache.connect(common.cache_url)
        try:
            await jet.ensure()
            bus = connection.Connection(jet, name)
            tasks.start_soon(shared.watch)
            app = service.App(bus=bus, cache=shared, common=common, tasks=tasks, tell=_tell)
            async with opener(app) as served:
                logger.info("%s is ready", name, extra={"service": name})
                opened.set()
                await serve.Server(bus, served, broken).run(stop, ready.set)
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await shared.close()
                await jet.close()


async def _give_up_opening(stop: anyio.Event, opened: anyio.Event, scope: anyio.CancelScope) -> None:
    """Being told to stop while still opening (a model loads, others are awaited) ends that at once."""
    await stop.wait()
    if not opened.is_set():
        scope.cancel()


async def _stop_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            logger.info("stopping on %s", signal.Signals(number).name)
            stop.set()


async def _tell_ready(waiting: Sequence[anyio.Event]) -> None:
    for event in waiting:
        await event.wait()
    _tell("ready")
    if (descriptor := _watcher()) is not None:
        os.close(descriptor)


def _tell(text: str) -> None:
    """One line to the supervisor: `ready`, or what we are doing until then."""
    if (descriptor := _watcher()) is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, f"{text}\n".encode())


def _watcher() -> int | None:
    given = os.environ.get(process.READY_FD, "")
    return int(given) if given.isdecimal() else None
