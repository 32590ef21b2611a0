"""`quahog chat`: the table in a terminal. Type, and whoever is spoken to answers."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import msgspec
from rich.console import Console
from rich.text import Text

from svc import errors as quahog
from svc.bus import api, errors, limits, subjects
from svc.cli import ask, reach
from svc.wire import base, characters, coordinator, message, turn

EXAMPLE = "  quahog chat\n  quahog chat --with brian --channel bar"
SURFACE = "console"
HELP = "Name somebody to speak to them, or everybody hears you. /with NAME, /with all, /turn, /help, /quit"
CAST_S = 5.0
DECISION_S = 10.0
LOOK_S = 0.1
SHOW_S = 0.3
"""From the record of the last answer until it has surely been printed."""
READ_BYTES = 65_536
CLEAR_LINE = "\r\x1b[2K"
"""An answer takes the place of the waiting prompt, which is shown again below it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--with", dest="to", default="", metavar="CHARACTER", help="speak to this one only")
    parser.add_argument("--channel", default="terminal", help="the conversation (default: terminal)")
    parser.add_argument("--name", default=os.environ.get("USER", "You"), help="who you are")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    reach.run(lambda: _chat(args))
    return 0


async def in_stack(data: Path) -> None:
    """The prompt at the end of `quahog up`; returns when the person leaves."""
    args = argparse.Namespace(
        data=data, nats=None, to="", channel="terminal", name=os.environ.get("USER", "You")
    )
    await _chat(args)


async def _chat(args: argparse.Namespace) -> None:
    async with reach.bus(args) as bus:
        cast = await bus.call(
            "characters",
            "list",
            characters.ListRequest(),
            characters.Cast,
            turn=subjects.short_hash("chat", bus.instance),
            within_s=CAST_S,
        )
        table = Terminal(bus, cast.packs, f"{SURFACE}-{args.channel}", args.name)
        if args.to:
            table.turn_to(args.to)
        async with anyio.create_task_group() as tasks:
            await tasks.start(table.show)
            await table.read()
            if not sys.stdin.isatty():
                await table.finish()
            tasks.cancel_scope.cancel()


class Terminal:
    """Reads lines from the person, prints what is said in the channel."""

    def __init__(self, bus: api.Bus, packs: tuple[characters.Pack, ...], channel: str, name: str) -> None:
        self._bus = bus
        self._packs = {pack.id: pack for pack in packs}
        self._channel = channel
        self._name = name
        self._to: tuple[str, ...] = ()
        self._last_turn = ""
        self._said_ids: list[str] = []
        self._console = Console(highlight=False)

    def turn_to(self, name: str) -> None:
        """Speak to one character, or to all. Raises Refused for somebody unknown."""
        wanted = name.casefold()
        if wanted != "all" and wanted not in self._packs:
            raise errors.Refused("unknown_character", f"{name!r} isn't here: {', '.join(self._packs)} are")
        self._to = () if wanted == "all" else (wanted,)

    async def show(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        async with self._bus.follow("RECORD", ("evt.message.posted.>", "evt.turn.ended.>")) as stored:
            task_status.started()
            async for item in stored:
                with contextlib.suppress(msgspec.MsgspecError):  # strangers' messages are nothing to show
                    self._happened(item)

    def _happened(self, item: api.Message) -> None:
        if item.subject.startswith("evt.turn."):
            ended = base.decode(item.data, turn.Ended)
            if ended.channel == self._channel:
                self._last_turn = ended.turn
            return
        posted = base.decode(item.data, message.Posted)
        if posted.channel == self._channel:
            self._said(posted)

    def _said(self, posted: message.Posted) -> None:
        pack = self._packs.get(posted.character)
        name, colour = (pack.name.split()[0], pack.color) if pack else (posted.character, "white")
        emoji = f"{pack.emoji} " if pack and pack.emoji else ""
        if self._console.is_terminal:
            self._console.file.write(CLEAR_LINE)
        line = Text(f"{emoji}{name}: ", style=f"bold {colour}")
        line.append(posted.text, style="not bold italic" if posted.notice else "not bold default")
        self._console.print(line)
        self._prompt()

    def _prompt(self) -> None:
        whom = ", ".join(self._to) or "all"
        self._console.print(Text(f"{self._name} → {whom}: ", style="dim"), end="")

    async def read(self) -> None:
        """Until the person leaves (/quit or the end of input)."""
        self._console.print(Text(HELP, style="dim"))
        self._prompt()
        async for line in typed():
            if line.strip() in ("/quit", "/exit"):
                return
            try:
                await self._entered(line.strip())
            except quahog.QuahogError as error:
                self._console.print(Text(str(error), style="red"))
            self._prompt()

    async def _entered(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command == "/with":
            self.turn_to(rest.strip() or "all")
        elif command == "/turn":
            hint = f"quahog turn {self._last_turn}" if self._last_turn else "nothing was answered yet"
            self._console.print(Text(hint, style="dim"))
        elif command.startswith("/"):
            self._console.print(Text(HELP, style="dim"))
        elif line:
            await self._say(line)

    async def _say(self, line: str) -> None:
        native = secrets.token_hex(8)
        heard = message.Heard(
            message=subjects.message_id(SURFACE, native),
            native=native,
            surface=SURFACE,
            channel=self._channel,
            author=message.Author(id=f"terminal-{self._name}", name=self._name),
            text=ask.clean(line),
            to=self._to,
            at=time.time(),
        )
        await self._bus.publish(subjects.event("message", "heard", heard.message), heard)
        self._said_ids.append(heard.message)

    async def finish(self) -> None:
        """Input came from a pipe and is over: wait for what it was answered."""
        for message_id in self._said_ids:
            made = await self._recorded(subjects.event("decision", "made", message_id), DECISION_S)
            decision = base.decode(made.data, coordinator.Decision) if made else None
            for turn_id in decision.turns if decision else ():
                await self._recorded(subjects.event("turn", "ended", turn_id), limits.TURN_S)
                await self._recorded(subjects.event("message", "posted", turn_id), DECISION_S)
        await anyio.sleep(SHOW_S)

    async def _recorded(self, subject: str, seconds: float) -> api.Message | None:
        with anyio.move_on_after(seconds):
            while True:
                if stored := await self._bus.last(subject):
                    return stored
                await anyio.sleep(LOOK_S)
        return None


async def typed() -> AsyncIterator[str]:
    """Lines of standard input as they come, without blocking the loop and without a thread to wait for."""
    descriptor, rest = sys.stdin.fileno(), b""
    while True:
        # A file is always readable, so the loop refuses to watch it.
        with contextlib.suppress(OSError):
            await anyio.wait_readable(descriptor)
        chunk = os.read(descriptor, READ_BYTES)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if not chunk:
            if rest:
                yield rest.decode(errors="replace")
            return
