"""`quahog export`: a recorded turn as a file, for a bug report or for later."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from svc import errors
from svc.bus import subjects
from svc.cli import reach
from svc.router import tape

EXAMPLE = "  quahog export k3f7q0c2m9d1a --output turn.jsonl"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("turn", help="id of the turn, as `quahog ask` and the console show it")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of standard output")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError for an id that isn't one, QuahogError for a turn that isn't in the record."""
    turn_id = checked(args.turn)
    data = reach.run(lambda: _read(args, turn_id))
    if args.output:
        args.output.write_bytes(data)
        print(f"{args.output}: turn {turn_id}, with everything that was said in it", file=sys.stderr)
    else:
        sys.stdout.buffer.write(data)
    return 0


def checked(turn_id: str) -> str:
    """Raises ConfigError for what can't be an id."""
    if not subjects.TOKEN.fullmatch(turn_id):
        raise errors.ConfigError(f"{turn_id!r} is not a turn id: it has only letters, digits, - and _")
    return turn_id


async def _read(args: argparse.Namespace, turn_id: str) -> bytes:
    async with reach.bus(args) as bus:
        messages = await bus.messages(turn_id)
    if not messages:
        raise errors.QuahogError(f"no turn {turn_id} in the record: it is kept for 24 hours")
    return tape.dump(turn_id, messages)
