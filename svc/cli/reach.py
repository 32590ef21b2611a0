"""Reaching the running stack from a command."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvloop

from svc import config, errors
from svc.bus import connection, jetstream
from svc.cli import plain
from svc.stack import where

WAIT_S = 2.0
T = TypeVar("T")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every command that talks to a running stack."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="data folder of the stack to reach")
    parser.add_argument("--nats", metavar="URL", help="address of its NATS server, instead")


def url(args: argparse.Namespace) -> str:
    """Of the option, the environment, or the stack that runs on the data folder.

    Raises ConfigError when there is none.
    """
    if args.nats:
        return str(args.nats)
    if not args.data and (given := os.environ.get("QUAHOG_NATS_URL")):
        return given
    data = (args.data or config.read(config.Common).data_path()).expanduser()
    if running := where.read(data):
        return running.nats_url
    raise errors.ConfigError(f"no stack is running on {data}: start one with `make run` or `quahog up`")


@contextlib.asynccontextmanager
async def bus(args: argparse.Namespace) -> AsyncIterator[connection.Connection]:
    """A connection to the running stack. Raises ConfigError, NotAccepted."""
    jet = await jetstream.connect(url(args), "cli", wait_s=WAIT_S)
    try:
        yield connection.Connection(jet, "cli")
    finally:
        await jet.close()


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run a command's coroutine; the first of several errors counts."""

    async def main() -> T:
        return await work()

    plain.guard()
    # What goes wrong reaches the person as the command's own error line.
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    try:
        return uvloop.run(main())
    except BaseExceptionGroup as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
