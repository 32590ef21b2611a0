"""Logs: one JSON object a line for machines, one readable line for people."""

from __future__ import annotations

import datetime
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from svc import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def loggers() -> Iterator[None]:
    """Gives the loggers back as they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers, root.level = handlers, level
    for name in ("httpx", "httpcore", "chromadb", "discord", "asyncio", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_json_object_a_line() -> None:
    stream = io.StringIO()
    log.setup("info", stream)
    logger = logging.getLogger("svc.example")
    logger.info("done %s", "{braces}\nand a second line")
    logger.warning("slow", extra={"turn": "t1", "ms": 1.5, "deliveries": 0, "secret": "hunter2"})
    logger.debug("not shown")
    first, second = lines(stream)
    assert first["message"] == "done {braces}\nand a second line"
    assert (first["level"], first["logger"]) == ("info", "svc.example")
    assert datetime.datetime.fromisoformat(first["at"]).utcoffset() == datetime.timedelta(0)
    assert (second["turn"], second["ms"], second["deliveries"]) == ("t1", 1.5, 0)
    assert "hunter2" not in stream.getvalue()
    assert set(first) == {"at", "level", "logger", "message"}


def test_an_error_brings_its_traceback_in_the_same_line() -> None:
    stream = io.StringIO()
    log.setup("info", stream)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("svc").exception("failed")
    (line,) = lines(stream)
    assert line["error"].startswith("Traceback")
    assert line["error"].endswith("RuntimeError: boom")


def test_a_terminal_gets_a_readable_line() -> None:
    stream = Terminal()
    log.setup("debug", stream)
    logging.getLogger("svc.example").error("failed: %s", "x", extra={"turn": "t1", "attempt": 2})
    text = stream.getvalue()
    assert "error" in text
    assert "svc.example: failed: x" in text
    assert "turn=t1 attempt=2" in text
    assert text.count("\n") == 1
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


def test_a_terminal_shows_a_traceback_below() -> None:
    stream = Terminal()
    log.setup("info", stream)
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        logging.getLogger("svc").exception("failed")
    assert stream.getvalue().rstrip().endswith("RuntimeError: boom")


@pytest.mark.parametrize("level", ["debug", "INFO", "Warning", "error"])
def test_levels_have_any_case(level: str) -> None:
    log.setup(level, io.StringIO())
    assert logging.getLogger().level == getattr(logging, level.upper())


@pytest.mark.parametrize("level", ["loud", "", "1.5"])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(ValueError, match="level"):
        log.setup(level, io.StringIO())


def test_the_last_setup_wins_and_no_line_is_written_twice() -> None:
    first, second = io.StringIO(), io.StringIO()
    log.setup("info", first)
    log.setup("info", second)
    logging.getLogger("svc").info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1


@pytest.mark.parametrize(("level", "shown"), [("debug", 1), ("info", 1), ("error", 0)])
def test_noisy_libraries_are_never_louder_than_warnings(level: str, shown: int) -> None:
    stream = io.StringIO()
    log.setup(level, stream)
    for name in ("httpx", "chromadb", "discord", "aiohttp.access"):
        logging.getLogger(name).info("chatter")
    assert stream.getvalue() == ""
    logging.getLogger("httpx").warning("trouble")
    assert len(lines(stream)) == shown


def test_standard_error_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    log.setup("info")
    logging.getLogger("svc").info("hello")
    assert lines(stream)[0]["message"] == "hello"
