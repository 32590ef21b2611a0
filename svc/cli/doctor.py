"""`quahog doctor`: what is in order on this machine and in the running stack, and how to mend what isn't."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import anyio
from rich.console import Console
from rich.text import Text

from svc import config, errors
from svc.bus import dead
from svc.cli import reach
from svc.stack import broker, ports, valkey, where
from svc.wire import base, status
from svc.wire.base import Wire

EXAMPLE = "  quahog doctor\n  quahog doctor --json"
DISK_FREE_MIN = 2 * 1024**3
"""Models, streams and the index of a small server fit in this."""
PACKAGES = ("nats-py", "discord.py", "redis", "chromadb", "ollama", "msgspec", "anyio")
SURVEY_S = 0.5
PROBE_S = 0.5
MARKS = {"ok": ("✓", "green"), "note": ("·", "yellow"), "wrong": ("✗", "red")}


class Finding(Wire, frozen=True, kw_only=True):
    what: str
    level: Literal["ok", "note", "wrong"]
    detail: str
    remedy: str = ""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    reach.arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Exit status 1 when something is wrong."""
    common = config.read(config.Common)
    data = (args.data or common.data_path()).expanduser()
    running = where.read(data)
    findings = [
        *versions(),
        *servers(),
        disk(data),
        *packs(common),
        knowledge(common),
        *(standard_ports() if running is None else ()),
        engine(),
        *stack(args, running),
    ]
    if args.json:
        sys.stdout.write(base.encode({"findings": findings}).decode() + "\n")
    else:
        show(findings)
    return int(any(finding.level == "wrong" for finding in findings))


def versions() -> Iterator[Finding]:
    python = platform.python_version()
    new_enough = sys.version_info >= (3, 11)
    yield Finding(
        what="python",
        level="ok" if new_enough else "wrong",
        detail=python,
        remedy="" if new_enough else "install Python 3.11 or newer",
    )
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding(
        what="packages",
        level="wrong" if missing else "ok",
        detail=f"missing: {', '.join(missing)}" if missing else ", ".join(found),
        remedy="run `make setup`" if missing else "",
    )


def servers() -> Iterator[Finding]:
    """The servers of the embedded stack, found as it finds them."""
    for name, find in (("nats-server", broker.program), ("valkey-server", valkey.program)):
        try:
            yield Finding(what=name, level="ok", detail=str(find()))
        except errors.QuahogError as error:
            yield Finding(what=name, level="wrong", detail=str(error))


def knowledge(common: config.Common) -> Finding:
    folder = common.knowledge_path()
    articles = sum(1 for _ in folder.rglob("*.md"))
    return Finding(
        what="knowledge",
        level="ok" if articles else "wrong",
        detail=f"{articles} articles in {folder}",
        remedy="" if articles else "set QUAHOG_KNOWLEDGE to a folder with articles (docs/knowledge.md)",
    )


def disk(data: Path) -> Finding:
    folder = next((parent for parent in (data, *data.parents) if parent.exists()), Path("/"))
    free = shutil.disk_usage(folder).free
    enough = free >= DISK_FREE_MIN
    return Finding(
        what="disk",
        level="ok" if enough else "wrong",
        detail=f"{free / 1024**3:.1f} GiB free for {data}",
        remedy="" if enough else "free some space, or choose another folder with --data",
    )


def packs(common: config.Common) -> Iterator[Finding]:
    """That every character can be read."""
    from svc.characters import pack

    try:
        loaded = pack.load(common.characters_path())
    except errors.ConfigError as error:
        yield Finding(what="characters", level="wrong", detail=str(error), remedy="mend that line")
    else:
        yield Finding(what="characters", level="ok", detail=", ".join(sorted(loaded)))


def standard_ports() -> Iterator[Finding]:
    taken = [f"{name} {number}" for name, number in ports.STANDARD.items() if not _free(number)]
    if taken:
        yield Finding(
            what="ports",
            level="note",
            detail=f"taken by something else: {', '.join(taken)}",
            remedy="`quahog up` uses free ports instead and says which",
        )
    else:
        yield Finding(what="ports", level="ok", detail="all standard ports are free")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(PROBE_S)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def engine() -> Finding:
    """Which model engine would be used, without loading it."""
    from svc.llm import choice, settings

    async def look() -> str:
        chosen = await choice.choose(config.read(settings.Settings))
        await chosen.engine.close()
        return f"{chosen.engine.name} with {chosen.engine.model}: {chosen.reason}"

    try:
        return Finding(what="model", level="ok", detail=anyio.run(look))
    except errors.QuahogError as error:
        return Finding(what="model", level="wrong", detail=str(error))


def stack(args: argparse.Namespace, running: where.Running | None) -> list[Finding]:
    """How the services feel, when there are any to ask."""
    if running is None and not args.nats and not os.environ.get("QUAHOG_NATS_URL"):
        return [Finding(what="stack", level="note", detail="not running", remedy="`make run` starts it")]
    try:
        return reach.run(lambda: _survey(args))
    except errors.QuahogError as error:
        return [Finding(what="stack", level="wrong", detail=str(error))]


async def _survey(args: argparse.Namespace) -> list[Finding]:
    async with reach.bus(args) as bus:
        stats = await bus.survey(SURVEY_S)
        buried = await dead.count(bus.broker)
    if not stats:
        remedy = "see the logs in the data folder"
        return [Finding(what="stack", level="wrong", detail="no service answers", remedy=remedy)]
    return [*map(_feeling, stats), letters(buried)]


def letters(buried: int) -> Finding:
    """Dead letters: nothing is broken because of them, but somebody should look."""
    return Finding(
        what="dead letters",
        level="note" if buried else "ok",
        detail=str(buried) if buried else "none",
        remedy="`quahog dead` lists them" if buried else "",
    )


def _feeling(stat: status.Stats) -> Finding:
    health = stat.vitals.health
    level: Literal["ok", "note", "wrong"] = (
        "ok" if health.level == "ok" else "note" if health.level == "degraded" else "wrong"
    )
    calls = sum(endpoint.num_requests for endpoint in stat.endpoints)
    detail = "; ".join(health.reasons) or f"{calls} messages handled"
    return Finding(what=stat.name, level=level, detail=f"{health.level}: {detail}")


def show(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    width = max(len(finding.what) for finding in findings)
    for finding in findings:
        mark, style = MARKS[finding.level]
        line = Text(f"{mark} ", style=style) + Text(f"{finding.what:<{width}}  ", style="bold")
        line.append(finding.detail)
        if finding.remedy:
            line.append(f" — {finding.remedy}", style="dim")
        console.print(line)
