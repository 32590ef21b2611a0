"""`quahog`: one command a module, imported only when it is the one that was asked for."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from svc import config, errors

COMMANDS = {
    "up": "start everything on this machine and chat",
    "run": "run services against an existing NATS",
    "ask": "ask one character something",
    "chat": "chat in the terminal",
    "turn": "show one turn: every step, attempt, score and passage",
    "replay": "run recorded turns again, on the record or for real in a sandbox",
    "export": "write a recorded turn to a file",
    "crawl": "index knowledge again, and watch it happen",
    "tail": "show events as they happen",
    "dead": "show what was buried, and why; try it again, or drop it",
    "chaos": "kill parts of a stack at random and count that nothing is lost or doubled",
    "subjects": "print, write or check subjects.md",
    "doctor": "check this machine and the running stack",
}
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class Command(Protocol):
    """What a command module has: `EXAMPLE`, `arguments(parser)` and `run(args)`."""

    EXAMPLE: str

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. The exit status: 0 = done, 1 = failed, 2 = wrong usage, 130 = interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else EXIT_USAGE
    if words[0] == "--version":
        from importlib import metadata

        print(f"quahog {metadata.version('quahog')}")
        return 0
    name = words[0]
    if name not in COMMANDS:
        print(f"quahog: there is no command {name!r}: see quahog --help", file=sys.stderr)
        return EXIT_USAGE
    command: Command = importlib.import_module(f"svc.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"quahog {name}",
        description=COMMANDS[name][0].upper() + COMMANDS[name][1:] + ".",
        epilog=f"example:\n{command.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    try:
        # What is set in the shell wins over what is written in the file.
        os.environ.update({k: v for k, v in config.dotenv(Path(".env")).items() if k not in os.environ})
        command.arguments(parser)
        return command.run(parser.parse_intermixed_args(words[1:]))
    except errors.QuahogError as error:
        print(f"quahog {name}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(
        [
            "usage: quahog COMMAND …",
            "",
            "A cast of characters that chats with people, entirely on your machine.",
            "",
            *lines,
            "",
            "quahog COMMAND --help shows the options of a command and an example.",
        ]
    )
