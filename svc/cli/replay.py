"""`quahog replay`: recorded turns again, through the router's logic as it is now."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import Progress

from svc import config, errors
from svc.bus import api
from svc.characters import pack, prompt
from svc.cli import age, export, reach, sidebyside
from svc.router import replay, rescore, settings, tape, whatif
from svc.wire import base, characters

EXAMPLE = (
    "  quahog replay k3f7q0c2m9d1a\n"
    "  quahog replay k3f7q0c2m9d1a --live llm,quality --set temperature=0.4\n"
    "  quahog replay turn.jsonl\n"
    "  quahog replay --since 1h\n"
    "  quahog replay --since 1h --live quality"
)
EXIT_DIFFERS = 3
"""Something would be different now."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("turn", nargs="?", help="id of a recorded turn, or a file of `quahog export`")
    parser.add_argument("--since", metavar="AGE", help="every turn of the last AGE (30m, 1h, 1d) instead")
    parser.add_argument(
        "--live",
        default="",
        metavar="SERVICES",
        help=f"ask these for real, in a sandbox that can't post: {','.join(replay.LIVE)}",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="what if this were so?"
    )
    parser.add_argument("--character-file", type=Path, metavar="FILE", help="what if the pack were this one?")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 0 = everything is the same, 3 = something differs, 1 = failed."""
    live = services(args.live)
    if bool(args.turn) == bool(args.since):
        raise errors.ConfigError("name a turn (or a file), or use --since: one of them")
    if args.since and (args.set or args.character_file):
        raise errors.ConfigError("--set and --character-file ask about one turn: name it instead of --since")
    if args.since and live == {"quality"}:
        return _rescored(args)
    if args.since and live:
        raise errors.ConfigError("with --since only the gate can be asked for real: --live quality")
    if args.since:
        return _all(args)
    return _one(args, live)


def services(given: str) -> frozenset[str]:
    """Raises ConfigError for a service that can't be asked for real."""
    names = frozenset(name.strip() for name in given.split(",") if name.strip())
    if unknown := names - set(replay.LIVE):
        raise errors.ConfigError(
            f"--live knows no {', '.join(sorted(unknown))}: choose from {', '.join(replay.LIVE)}"
        )
    return names


def _one(args: argparse.Namespace, live: frozenset[str]) -> int:
    file = Path(args.turn)
    exported = None
    if file.suffix or file.is_file():  # an id has no dot
        exported = tape.load(_bytes(file))
    else:
        export.checked(args.turn)
    done = reach.run(lambda: _replayed(args, live, exported))
    if args.json:
        sys.stdout.write(base.encode(done).decode() + "\n")
    else:
        sidebyside.show(done, Console(highlight=False))
    return 0 if done.identical else EXIT_DIFFERS


async def _replayed(
    args: argparse.Namespace, live: frozenset[str], exported: tuple[str, list[api.Message]] | None
) -> replay.Replay:
    options, edits = whatif.parse(args.set, config.read(settings.Settings))
    async with contextlib.AsyncExitStack() as stack:
        bus = None
        if live or exported is None:
            bus = await stack.enter_async_context(reach.bus(args))
        if exported is None:
            assert bus is not None
            exported = args.turn, await bus.messages(args.turn)
        recorded = tape.read(*exported)
        edits = _with_pack(args, recorded, edits)
        return await replay.run(recorded, options, live=live, bus=bus, edits=edits)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise errors.ConfigError(f"{file} can't be read: {error.strerror}") from None


def _with_pack(args: argparse.Namespace, recorded: tape.Tape, edits: replay.Edits) -> replay.Edits:
    """The edits with those of --character-file. Raises ConfigError naming file and line of a bad pack."""
    if args.character_file is None:
        return edits
    written = pack.read(args.character_file, recorded.turn.character)
    cast = pack.load(config.read(config.Common).characters_path())
    others = {one.id: one.name for one in cast.values() if one.id != written.id}

    def build(request: characters.PromptRequest) -> characters.Prompt:
        return prompt.build(written, others, request.topic)

    return {**edits, **whatif.character(build)}


class Many(msgspec.Struct, kw_only=True):
    """Every turn of some hours, replayed."""

    turns: int = 0
    identical: int = 0
    differing: list[str] = []
    """Turns that would go another way now, with the first step that differs."""
    skipped: int = 0
    """Without a course to run again: still running, or recorded by an older version."""


def _all(args: argparse.Namespace) -> int:
    many = reach.run(lambda: _replay_all(args))
    if args.json:
        sys.stdout.write(base.encode(many).decode() + "\n")
    else:
        print(f"{many.turns} turns: {many.identical} identical, {len(many.differing)} differ", end="")
        print(f", {many.skipped} can't be replayed" if many.skipped else "")
        for line in many.differing:
            print(f"  {line}")
    return EXIT_DIFFERS if many.differing else 0


async def _replay_all(args: argparse.Namespace) -> Many:
    since, many = time.time() - age.seconds("--since", args.since), Many()
    options = config.read(settings.Settings)
    async with reach.bus(args) as bus:
        with _progress(args) as progress:
            task = progress.add_task("replaying", total=None)
            async for message in bus.scan("RECORD", ("evt.turn.ended.>",)):
                if message.at >= since:
                    await _count(bus, message.subject.split(".")[3], options, many)
                    progress.update(task, advance=1)
    return many


async def _count(bus: api.Bus, turn_id: str, options: settings.Settings, many: Many) -> None:
    many.turns += 1
    try:
        done = await replay.run(tape.read(turn_id, await bus.messages(turn_id)), options)
    except errors.QuahogError:
        many.skipped += 1
        return
    if done.identical:
        many.identical += 1
    else:
        first = next((f"{step.service}.{step.method} {step.n}" for step in done.steps if not step.same), "")
        many.differing.append(f"{turn_id}  {first or done.stopped or 'the outcome'}")


def _rescored(args: argparse.Namespace) -> int:
    summary = reach.run(lambda: _rescore(args))
    if args.json:
        sys.stdout.write(base.encode(summary).decode() + "\n")
    else:
        sidebyside.summary(summary, Console(highlight=False))
    return EXIT_DIFFERS if summary.now_refused or summary.now_accepted else 0


async def _rescore(args: argparse.Namespace) -> rescore.Summary:
    since = time.time() - age.seconds("--since", args.since)
    async with reach.bus(args) as bus:
        with _progress(args) as progress:
            task = progress.add_task("asking the gate", total=None)
            return await rescore.run(bus, since, lambda done: progress.update(task, completed=done))


def _progress(args: argparse.Namespace) -> Progress:
    return Progress(console=Console(stderr=True), transient=True, disable=args.json)
