"""`quahog tail`: events as they happen."""

from __future__ import annotations

import argparse
import datetime
import sys
import time

import msgspec
from rich.console import Console
from rich.text import Text

from svc import errors
from svc.bus import api, history, subjects
from svc.cli import reach

EXAMPLE = "  quahog tail\n  quahog tail --turn k3f7q0c2m9d1a --json"
SHOWN = ("character", "outcome", "text", "reasons", "state", "embedded", "error")
"""Fields worth a place in a line."""
VALUE_CHARS_MAX = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turn", default="*", help="only this turn: what is recorded of it, then what comes")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Until interrupted. Raises ConfigError for something that isn't a turn id."""
    if args.turn != "*" and not subjects.TOKEN.fullmatch(args.turn):
        raise errors.ConfigError(f"{args.turn!r} is not a turn id: it has only letters, digits, - and _")
    reach.run(lambda: _tail(args))
    return 0


async def _tail(args: argparse.Namespace) -> None:
    kind = "evt" if args.turn == "*" else "*"
    console = Console(highlight=False, soft_wrap=True)
    async with reach.bus(args) as bus, bus.listen(f"{kind}.*.*.{args.turn}.*") as messages:
        if args.turn != "*":
            for message in await history.messages(bus.broker, args.turn):
                _show(message, args, console)
        async for message in messages:
            _show(message, args, console)


def _show(message: api.Message, args: argparse.Namespace, console: Console) -> None:
    if args.json:
        sys.stdout.write(_json(message) + "\n")
        sys.stdout.flush()
    else:
        console.print(_line(message))


def _json(message: api.Message) -> str:
    body = history.shown(message.data or b"null")
    line = {"at": message.at or time.time(), "subject": message.subject, "body": body}
    return msgspec.json.encode(line).decode()


def _line(message: api.Message) -> Text:
    when = datetime.datetime.fromtimestamp(message.at or time.time())
    at = when.strftime("%H:%M:%S.%f")[:-3]
    line = Text(f"{at} ", style="dim") + Text(message.subject, style="bold")
    try:
        body = msgspec.json.decode(message.data)
    except (msgspec.DecodeError, RecursionError):
        return line
    if isinstance(body, dict):
        for name in SHOWN:
            if value := body.get(name):
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                line.append(f"  {name}=", style="dim")
                line.append(text[:VALUE_CHARS_MAX])
    return line
