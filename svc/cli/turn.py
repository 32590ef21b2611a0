"""`quahog turn`: one turn read back from the record, as a waterfall."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

from svc import errors
from svc.bus import subjects
from svc.cli import reach
from svc.wire import base, record, turn

EXAMPLE = "  quahog turn k3f7q0c2m9d1a\n  quahog turn k3f7q0c2m9d1a --json | python3 -m json.tool"
BAR_CHARS, BAR_CHARS_MIN = 32, 8
TEXT_CHARS = 100
"""What the other columns want; a narrower terminal gets shorter bars."""
STATUS_STYLE = {"done": "green", "degraded": "yellow", "refused": "red", "running": "yellow"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("turn", help="id of the turn, as `quahog ask` and the console show it")
    parser.add_argument("--json", action="store_true", help="print the whole record as one JSON object")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Raises ConfigError for an id that isn't one, or isn't in the record."""
    if not subjects.TOKEN.fullmatch(args.turn):
        raise errors.ConfigError(f"{args.turn!r} is not a turn id: it has only letters, digits, - and _")
    found = reach.run(lambda: _read(args))
    if not found.found:
        raise errors.QuahogError(
            f"no turn {args.turn} in the last 24 hours: `quahog ask` and the console show ids"
        )
    if args.json:
        sys.stdout.write(base.encode(found).decode() + "\n")
    else:
        show(found, Console(highlight=False))
    return 0


async def _read(args: argparse.Namespace) -> record.TurnRecord:
    async with reach.bus(args) as bus:
        return await bus.turn_record(args.turn)


def show(found: record.TurnRecord, console: Console) -> None:
    """Print a turn for a person."""
    if ended := found.ended:
        console.print(Text(f"{ended.character.title()}: ", style="bold") + Text(ended.text or "(silence)"))
        console.print(Text(_headline(found, ended), style="dim"))
    console.print()
    console.print(_waterfall(found, max(BAR_CHARS_MIN, min(BAR_CHARS, console.width - TEXT_CHARS))))
    if found.ended:
        _attempts(found.ended, console)
        _verdict(found.ended, console)
        _passages(found.ended, console)


def _headline(found: record.TurnRecord, ended: turn.Ended) -> str:
    parts = [f"turn {found.turn}", ended.outcome, f"{found.total_ms:.0f} ms", f"{found.posted} posted"]
    parts += [f"model {ended.model}"] if ended.model else []
    parts += ["from the reply cache"] if ended.cached else []
    parts += [f"degraded: {', '.join(ended.degraded)}"] if ended.degraded else []
    parts += [ended.reason] if ended.reason else []
    return " · ".join(parts)


def _waterfall(found: record.TurnRecord, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("step", "#"):
        table.add_column(column, no_wrap=True)
    for column in ("start ms", "queue", "work", "total"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", width=width)
    table.add_column("what came back", overflow="fold")
    span = max([found.total_ms, *(step.start_ms + step.total_ms for step in found.steps)], default=1.0) or 1.0
    for step in found.steps:
        table.add_row(
            f"{step.service}.{step.method}",
            step.n,
            f"{step.start_ms:.1f}",
            f"{step.waited_ms:.1f}",
            f"{step.ms:.1f}",
            f"{step.total_ms:.1f}",
            _bar(step, span, width),
            Text(step.detail, style=STATUS_STYLE.get(step.status, "") if step.status != "done" else ""),
        )
    return table


def _bar(step: record.Step, span: float, width: int) -> Text:
    start = max(0, min(width - 1, int(step.start_ms / span * width)))
    length = max(1, min(width - start, round(step.total_ms / span * width)))
    return Text(" " * start) + Text("█" * length, style=STATUS_STYLE.get(step.status, "green"))


def _attempts(ended: turn.Ended, console: Console) -> None:
    for attempt in ended.attempts:
        mark, style = ("✓", "green") if attempt.accepted else ("✗", "red")
        line = Text(f"\n{mark} attempt {attempt.n} ({attempt.tier}) ", style=style)
        line.append(f"{attempt.score:.1f} of {attempt.threshold:g}, {attempt.ms:.0f} ms", style="dim")
        console.print(line)
        if attempt.changed:
            console.print(Text(f"  changed: {', '.join(attempt.changed)}", style="dim"))
        if attempt.text:
            console.print(Text(f"  {attempt.text}"))
        if attempt.reason:
            console.print(Text(f"  {attempt.reason}", style="red"))


def _verdict(ended: turn.Ended, console: Console) -> None:
    if ended.verdict is None:
        return
    console.print()
    for part in ended.verdict.components:
        found = f"  {'; '.join(part.found)}" if part.found else ""
        console.print(Text(f"{part.name:<14} {part.score:5.1f} × {part.weight:.2f}{found}", style="dim"))


def _passages(ended: turn.Ended, console: Console) -> None:
    if ended.attempts and not ended.passages:
        console.print(Text("\nnothing in the knowledge base was relevant", style="dim"))
    for passage in ended.passages:
        console.print(Text(f"\n{passage.score:.2f} {passage.title} — {passage.source}", style="bold"))
        console.print(Text(f"  {passage.text}", style="dim"))
