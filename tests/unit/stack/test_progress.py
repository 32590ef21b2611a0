"""What the person sees."""

from __future__ import annotations

import io

import pytest

from svc.stack import progress

pytestmark = pytest.mark.anyio


class Closed(io.StringIO):
    """A terminal that was closed meanwhile."""

    def __init__(self, tty: bool) -> None:
        super().__init__()
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


async def say_everything(shown: progress.Progress) -> None:
    async with shown.starting():
        shown.doing("nats", "starting")
        shown.ready("nats", 0.21)
        shown.doing("router", "reading {packs} [bold]")
        shown.failed("router", "exit status 1")
        shown.tail("router", ["boom [/]"])
    shown.tell("up [red]")
    shown.failed("nats", "killed by SIGKILL")


async def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    shown = progress.choose(stream)
    await say_everything(shown)
    assert stream.getvalue().splitlines() == [
        "nats             starting",
        "nats             ready in 0.2 s",
        "router           reading {packs} [bold]",
        "router           exit status 1",
        "router           | boom [/]",
        "up [red]",
        "nats             killed by SIGKILL",
    ]


async def test_a_table_on_a_terminal() -> None:
    stream = Tty()
    await say_everything(progress.choose(stream))
    text = stream.getvalue()
    for piece in (
        "✓",
        "✗",
        "ready",
        "exit status 1",
        "router | boom [/]",
        "up [red]",
        "nats killed by SIGKILL",
    ):
        assert piece in text


@pytest.mark.parametrize("tty", [True, False])
async def test_a_terminal_that_is_gone_stops_nothing(tty: bool) -> None:
    await say_everything(progress.choose(Closed(tty)))
