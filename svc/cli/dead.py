"""`quahog dead`: what was buried, and why; try it again, or drop it."""

from __future__ import annotations

import argparse
import datetime
import re
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from svc import errors
from svc.bus import connection, dead, subjects
from svc.bus import errors as bus_errors
from svc.cli import age, reach
from svc.wire import base, envelope

EXAMPLE = (
    "  quahog dead\n"
    "  quahog dead show 12\n"
    "  quahog dead retry 12 14\n"
    "  quahog dead retry --all\n"
    "  quahog dead drop --all --older 1d"
)
NUMBER = re.compile(r"#?([0-9]{1,18})", re.ASCII)
ACTIONS = ("list", "show", "retry", "drop")
LINE_CHARS_MAX = 120


class Shown(msgspec.Struct, frozen=True):
    """A letter as `--json` prints it."""

    number: int
    buried_at: float
    letter: envelope.Dead


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one letter, as `--json` prints it."""

    number: int
    done: Literal["retried", "dropped", "refused"]
    subject: str = ""
    answer: str = ""
    note: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=ACTIONS, default="list", help="list if none is given")
    parser.add_argument("numbers", nargs="*", metavar="NUMBER", help="of a letter, as list shows it")
    parser.add_argument("--all", action="store_true", help="retry or drop all of them")
    parser.add_argument("--older", metavar="AGE", help="with --all: only those buried longer ago (30m, 1d)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 when a letter could not be retried or dropped. Raises ConfigError for wrong words."""
    action, numbers = args.action, [_number(word) for word in args.numbers]
    if action in ("list", "show") and (args.all or args.older):
        raise errors.ConfigError("--all and --older are for retry and drop")
    if action == "list":
        if numbers:
            raise errors.ConfigError("list takes no number: `quahog dead show NUMBER` shows one letter")
        _list(args)
        return 0
    if action == "show":
        if len(numbers) != 1:
            raise errors.ConfigError("show takes one number: `quahog dead list` shows them")
        _show(args, numbers[0])
        return 0
    if bool(numbers) == args.all:
        raise errors.ConfigError(f"name the letters to {action} by number, or use --all: one of them")
    if args.older and not args.all:
        raise errors.ConfigError("--older goes with --all")
    done = reach.run(lambda: _each(args, action, numbers))
    _report(args, done)
    return int(any(one.done == "refused" for one in done))


def _number(word: str) -> int:
    """Raises ConfigError."""
    if not (found := NUMBER.fullmatch(word)):
        raise errors.ConfigError(f"{word!r} is not the number of a letter: `quahog dead list` shows them")
    return int(found[1])


async def _letters(bus: connection.Connection) -> list[dead.Letter]:
    return [letter async for letter in dead.letters(bus)]


async def _each(args: argparse.Namespace, action: str, numbers: list[int]) -> list[Done]:
    """Retry or drop one after the other; what is refused does not stop the rest."""
    older_s = age.seconds("--older", args.older) if args.older else 0.0
    act = _retry if action == "retry" else _drop
    async with reach.bus(args) as bus:
        if args.all:
            before = time.time() - older_s
            numbers = [letter.number for letter in await _letters(bus) if letter.buried_at <= before]
        return [await _one(bus, act, number) for number in dict.fromkeys(numbers)]


Act = Callable[[connection.Connection, int], Awaitable[Done]]


async def _one(bus: connection.Connection, act: Act, number: int) -> Done:
    try:
        return await act(bus, number)
    except bus_errors.BusError as error:
        return Done(number, "refused", note=str(error))


async def _retry(bus: connection.Connection, number: int) -> Done:
    done = await dead.retry(bus.broker, number)
    return Done(number, "retried", subject=done.subject, answer=done.answer, note=done.note)


async def _drop(bus: connection.Connection, number: int) -> Done:
    await dead.drop(bus.broker, number)
    return Done(number, "dropped")


def _report(args: argparse.Namespace, done: list[Done]) -> None:
    if args.json:
        sys.stdout.write(base.encode({"letters": done}).decode() + "\n")
        return
    console = Console(highlight=False, soft_wrap=True)
    for one in done:
        match one.done:
            case "refused":
                console.print(Text(one.note, style="red"))
            case "dropped":
                console.print(f"#{one.number} dropped")
            case "retried":
                console.print(Text(f"#{one.number} stored again as {one.subject}"))
        if one.answer:
            console.print(Text(f"   its answer will be {one.answer}: `{_look(one)}` shows it", style="dim"))
        if one.note and one.done == "retried":
            console.print(Text(f"   {one.note}", style="yellow"))
    if not done:
        older = f" older than {args.older}" if args.older else ""
        console.print(f"no dead letters{older}", style="dim")


def _look(done: Done) -> str:
    return f"quahog turn {subjects.parse(done.answer).turn}"


def _list(args: argparse.Namespace) -> None:
    async def read() -> list[dead.Letter]:
        async with reach.bus(args) as bus:
            return await _letters(bus)

    found = reach.run(read)
    if args.json:
        shown = [Shown(letter.number, letter.buried_at, letter.dead) for letter in found]
        sys.stdout.write(base.encode({"letters": shown}).decode() + "\n")
        return
    console = Console(highlight=False)
    if not found:
        console.print("no dead letters", style="dim")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("buried", no_wrap=True)
    table.add_column("subject", overflow="fold")
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    for letter in found:
        table.add_row(
            str(letter.number),
            _when(letter.buried_at),
            Text(letter.dead.subject),
            str(letter.dead.deliveries),
            Text(_line(letter.dead.reason)),
        )
    console.print(table)


def _show(args: argparse.Namespace, number: int) -> None:
    async def read() -> dead.Letter:
        async with reach.bus(args) as bus:
            return await dead.find(bus.broker, number)

    letter = reach.run(read)
    if args.json:
        shown = Shown(letter.number, letter.buried_at, letter.dead)
        sys.stdout.write(base.encode(shown).decode() + "\n")
        return
    console, found = Console(highlight=False, soft_wrap=True), letter.dead
    console.print(Text(f"#{letter.number} {found.subject}", style="bold"))
    console.print(Text(found.reason, style="red"))
    stored = f"stored {_when(found.stored_at)}, " if found.stored_at else ""
    place = f" in {found.stream}" if found.stream else ""
    times = "once" if found.deliveries == 1 else f"{found.deliveries} times"
    console.print(
        Text(
            f"{stored}delivered {times}{place}, buried {_when(letter.buried_at)}",
            style="dim",
        )
    )
    for name, value in found.headers.items():
        console.print(Text(f"{name}: {value}", style="dim"))
    console.print()
    console.print(Text(_pretty(found.body)))


def _when(at: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(at).strftime("%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "at no time"  # forged


def _line(reason: str) -> str:
    line = reason.partition("\n")[0]
    return line if len(line) <= LINE_CHARS_MAX else f"{line[: LINE_CHARS_MAX - 1]}…"


def _pretty(body: str) -> str:
    """JSON with a field a line; anything else as it is."""
    try:
        return msgspec.json.format(body, indent=2)
    except msgspec.DecodeError:
        return body
