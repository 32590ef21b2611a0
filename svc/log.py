"""Logs: one JSON line an event, or one readable line on a terminal. Never the text of a message."""

from __future__ import annotations

import datetime
import logging
import sys
from typing import TextIO

from svc.wire import base

FIELDS = ("service", "subject", "turn", "attempt", "ms", "deliveries")
"""What a record may carry in `extra=` beside its message."""
COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "at": at.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return base.encode(line).decode()


class TerminalFormatter(logging.Formatter):
    """Time, level, logger, message, and the fields that are there."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.datetime.fromtimestamp(record.created).strftime("%H:%M:%S.%f")[:-3]
        present = ((name, getattr(record, name, None)) for name in FIELDS)
        fields = " ".join(f"{name}={value}" for name, value in present if value is not None)
        colour = COLOURS.get(record.levelname, "")
        line = f"{at} {colour}{record.levelname.lower():<7}\x1b[0m {record.name}: {record.getMessage()}"
        if fields:
            line += f" \x1b[2m{fields}\x1b[0m"
        return line + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")


def setup(level: str, stream: TextIO | None = None) -> None:
    """Log to `stream` (stderr by default) from `level` up. May run twice; the last call wins.

    Raises ValueError for an unknown level.
    """
    target = stream or sys.stderr
    handler = logging.StreamHandler(target)
    handler.setFormatter(TerminalFormatter() if target.isatty() else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "chromadb", "discord", "asyncio", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
