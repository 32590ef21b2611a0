"""`quahog chaos`: strike a running stack at random, and count that nothing is lost or doubled."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from svc import errors
from svc.chaos import report, trial
from svc.cli import reach

EXAMPLE = """\
  quahog chaos --turns 300 --kills 40 --seed 1
  quahog chaos --turns 300 --kills 12 --hang-s 20 --json
  quahog chaos --cut --data ~/chaos"""
EXIT_UNSOUND = 1
TURNS_MAX, STRIKES_MAX, HANG_S_MAX, DELAY_MS_MAX = 10_000, 1_000, 300.0, 10_000
"""Beyond these a run takes hours, or meets the deadlines of turns (10 minutes) rather than trouble."""
LOOK_S = 0.2
STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--turns", type=int, default=300, metavar="N", help="answers to ask for (300)")
    parser.add_argument("--kills", type=int, default=40, metavar="N", help="times a part is struck (40)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed, the same plan (1)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument(
        "--hang-s", type=float, default=0.0, metavar="S", help="freeze parts for so long instead of killing"
    )
    how.add_argument("--cut", action="store_true", help="and one power cut that takes what wasn't synced")
    parser.add_argument("--delay-ms", type=int, default=80, metavar="MS", help="time for one reply (80)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="an empty folder to run in, and to keep")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def run(args: argparse.Namespace) -> int:
    """Exit status 1 when anything was lost or doubled. Raises ConfigError for a wrong number or folder."""
    attempt = trial.Trial(_options(args))
    if (found := reach.run(lambda: _watched(attempt))) is None:
        raise KeyboardInterrupt
    if args.json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
    else:
        show(found, Console(highlight=False))
    return 0 if found.is_sound else EXIT_UNSOUND


def _options(args: argparse.Namespace) -> trial.Options:
    for name, least, most in (
        ("turns", 1, TURNS_MAX),
        ("kills", 0, STRIKES_MAX),
        ("seed", 0, sys.maxsize),
        ("hang_s", 0.0, HANG_S_MAX),
        ("delay_ms", 0, DELAY_MS_MAX),
    ):
        given = getattr(args, name)
        if not least <= given <= most:
            raise errors.ConfigError(
                f"--{name.replace('_', '-')} {given:g} is wrong: use {least:g} to {most:g}"
            )
    return trial.Options(
        turns=args.turns,
        strikes=args.kills,
        seed=args.seed,
        hang_s=args.hang_s,
        cut=args.cut,
        delay_ms=args.delay_ms,
        data=args.data,
    )


async def _watched(attempt: trial.Trial) -> report.Report | None:
    """Run it and show how far it is. None when somebody asked us to end: by then all is put away."""
    found: report.Report | None = None
    async with anyio.create_task_group() as tasks:

        async def work() -> None:
            nonlocal found
            found = await attempt.run()
            tasks.cancel_scope.cancel()

        tasks.start_soon(_stop_on_signal, tasks.cancel_scope.cancel)
        tasks.start_soon(work)
        await _look(attempt)
    return found


async def _stop_on_signal(stop: Callable[[], None]) -> None:
    obeyed = [number for number in STOP if signal.getsignal(number) is not signal.SIG_IGN]  # nohup
    with anyio.open_signal_receiver(*obeyed) as signals:
        async for _ in signals:
            stop()


async def _look(attempt: trial.Trial) -> None:
    """Until cancelled. On stderr: what is printed at the end may be piped."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        turns, strikes = attempt.asked.turns, attempt.asked.strikes
        offered = progress.add_task("offered", total=turns, note="")
        answered = progress.add_task("answered", total=turns, note="")
        struck = progress.add_task("struck", total=strikes, note="")
        while True:
            progress.update(offered, completed=attempt.offered, note=attempt.doing)
            progress.update(answered, completed=attempt.answered)
            progress.update(struck, completed=attempt.strikes, note=attempt.last_strike)
            await anyio.sleep(LOOK_S)


def show(found: report.Report, console: Console) -> None:
    """The summary, for a person."""
    style = "green" if found.is_sound else "red"
    verdict = (
        "nothing lost, nothing doubled" if found.is_sound else "NOT everything was answered exactly once"
    )
    console.print(f"[{style}]{verdict}[/]: {found.answered} of {found.accepted} accepted turns answered")
    table = Table(box=None, show_header=False, pad_edge=False)
    wait = found.latency_ms
    rows = {
        "lost": found.lost,
        "duplicated": found.duplicated,
        "strays": found.strays,
        "outcomes": _listed(found.outcomes),
        "without one outcome": found.undecided,
        "struck": f"{found.kills} ({found.mode}): {_listed(found.kills_by_part)}",
        "power cut": _listed(found.cut_bytes, " bytes"),
        "generations": f"{found.generations}, at most {found.generations_per_attempt_max} per attempt",
        "answered after": f"{wait.p50:.0f} ms (median), {wait.p95:.0f} ms (95 %), {wait.max:.0f} ms (most)",
        "broker back to answer": ", ".join(f"{each:.2f} s" for each in found.broker_back_s),
        "seen after a reload": found.reloaded,
        "left in queues": _listed(found.unsettled),
        "dead letters": found.dead,
        "took": f"{found.seconds:.0f} s",
        "lost turns": ", ".join(found.lost_turns),
        "doubled turns": ", ".join(found.duplicated_turns),
    }
    for name, value in rows.items():
        if value not in ("", "none"):
            table.add_row(f"[dim]{name}[/]", str(value))
    console.print(table)
    if found.data:
        console.print(f"kept in {found.data}; look into it with: quahog up --no-console --data {found.data}")


def _listed(counts: dict[str, int], unit: str = "") -> str:
    return ", ".join(f"{name} {count}{unit}" for name, count in counts.items())
