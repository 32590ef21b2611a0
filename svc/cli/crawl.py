"""`quahog crawl`: index knowledge again, and watch it happen."""

from __future__ import annotations

import argparse
import sys

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from svc import errors
from svc.bus import api, subjects
from svc.cli import reach
from svc.wire import base, crawler

EXAMPLE = """\
  quahog crawl
  quahog crawl folder:places
  quahog crawl --status --json"""
LOOK_S = 0.2
ASK_S = 5.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        nargs="?",
        default="folder:starter",
        help="folder:starter = the whole knowledge folder (the default), folder:NAME = one folder in it",
    )
    parser.add_argument("--rebuild", action="store_true", help="embed everything again, not what changed")
    parser.add_argument("--status", action="store_true", help="only say how the last job went")
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Raises QuahogError when the job failed, Refused for a source that can't be indexed."""
    found = reach.run(lambda: _crawl(args))
    if args.json:
        sys.stdout.write(base.encode(found).decode() + "\n")
    else:
        print(f"{found.source}: {found.state}, {found.pages} pages, {found.chunks} passages, ", end="")
        print(f"{found.embedded} of them embedded, {found.seconds:.1f} s")
        for skipped in found.skipped:
            print(f"skipped: {skipped}")
    if found.state == "failed":
        raise errors.QuahogError(f"indexing {found.source} failed: {found.error}")
    return 0


async def _crawl(args: argparse.Namespace) -> crawler.CrawlStatus:
    async with reach.bus(args) as bus:
        if args.status:
            return await _status(bus, 0)
        started = await bus.call(
            "crawler",
            "crawl",
            crawler.CrawlRequest(source=args.source, rebuild=args.rebuild),
            crawler.CrawlStarted,
            turn=subjects.short_hash("crawl", bus.instance),
            within_s=ASK_S,
        )
        return await _watch(bus, started.job)


async def _watch(bus: api.Bus, job: str) -> crawler.CrawlStatus:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
        shown, n = progress.add_task("reading", total=None), 0
        while True:
            now = await _status(bus, n)
            if now.job == job and now.state in ("finished", "failed"):
                return now
            progress.update(shown, completed=now.pages, total=now.pages_total or None)
            n += 1
            await anyio.sleep(LOOK_S)


async def _status(bus: api.Bus, n: int) -> crawler.CrawlStatus:
    """Every look is a call of its own: the same one would give the same recorded answer."""
    return await bus.call(
        "crawler",
        "status",
        crawler.StatusRequest(),
        crawler.CrawlStatus,
        turn=subjects.short_hash("crawl", bus.instance),
        n=n,
        within_s=ASK_S,
    )
