"""What the person at the terminal sees: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TextIO

import anyio
import rich.console
import rich.live
import rich.spinner
import rich.table
import rich.text

REFRESH_S = 0.125
NAME_WIDTH = 16
GONE = (OSError, ValueError)
"""What writing raises once the terminal, or whoever reads the pipe, is gone: no reason to stop anything."""


class Progress(Protocol):
    """Told by the supervisors; never raises, even when nobody can read any more."""

    def doing(self, part: str, text: str) -> None: ...

    def ready(self, part: str, seconds: float) -> None: ...

    def failed(self, part: str, why: str) -> None: ...

    def tail(self, part: str, lines: Sequence[str]) -> None:
        """The last lines of a part's log."""
        ...

    def tell(self, line: str) -> None: ...

    def starting(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Around the start: the time in which the whole picture is shown."""
        ...


def choose(stream: TextIO = sys.stdout) -> Progress:
    return Terminal(stream) if stream.isatty() else Plain(stream)


class Plain:
    """One line each."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def doing(self, part: str, text: str) -> None:
        self.tell(f"{part:<{NAME_WIDTH}} {text}")

    def ready(self, part: str, seconds: float) -> None:
        self.tell(f"{part:<{NAME_WIDTH}} ready in {seconds:.1f} s")

    def failed(self, part: str, why: str) -> None:
        self.tell(f"{part:<{NAME_WIDTH}} {why}")

    def tail(self, part: str, lines: Sequence[str]) -> None:
        for line in lines:
            self.tell(f"{part:<{NAME_WIDTH}} | {line}")

    def tell(self, line: str) -> None:
        with contextlib.suppress(*GONE):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        yield


class Terminal:
    """A table that fills in while the stack starts; single lines afterwards."""

    def __init__(self, stream: TextIO) -> None:
        self._console = rich.console.Console(file=stream, highlight=False)
        self._rows: dict[str, Row] = {}
        self._live: rich.live.Live | None = None

    def doing(self, part: str, text: str) -> None:
        self._row(part).now("busy", text)

    def ready(self, part: str, seconds: float) -> None:
        self._row(part).now("ready", "ready")
        if self._live is None:
            self.tell(f"{part} is ready again")

    def failed(self, part: str, why: str) -> None:
        self._row(part).now("failed", why)
        if self._live is None:
            self.tell(f"{part} {why}")

    def tail(self, part: str, lines: Sequence[str]) -> None:
        for line in lines:
            self._print(rich.text.Text(f"{part} | {line}", style="dim"))

    def tell(self, line: str) -> None:
        self._print(rich.text.Text(line))

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        # Refreshed by a task, not by rich's thread: the process forks, and threads and forks don't mix.
        self._live = live = rich.live.Live(console=self._console, auto_refresh=False)
        with contextlib.suppress(*GONE):
            live.start()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._animate, live)
                yield
                tasks.cancel_scope.cancel()
        finally:
            self._live = None
            with contextlib.suppress(*GONE):
                live.update(self._table())
                live.stop()

    async def _animate(self, live: rich.live.Live) -> None:
        while True:
            with contextlib.suppress(*GONE):
                live.update(self._table(), refresh=True)
            await anyio.sleep(REFRESH_S)

    def _row(self, part: str) -> Row:
        return self._rows.setdefault(part, Row())

    def _table(self) -> rich.table.Table:
        table = rich.table.Table.grid(padding=(0, 2))
        for part, row in self._rows.items():
            table.add_row(row.mark(), part, rich.text.Text(row.text), f"{row.seconds():.1f} s")
        return table

    def _print(self, text: rich.text.Text) -> None:
        with contextlib.suppress(*GONE):
            self._console.print(text, soft_wrap=True)


class Row:
    """One part in the table."""

    MARKS = {"ready": rich.text.Text("✓", style="green"), "failed": rich.text.Text("✗", style="red")}

    def __init__(self) -> None:
        self.state = self.text = ""
        self._began = time.monotonic()
        self._took: float | None = None
        self._spinner = rich.spinner.Spinner("dots")

    def now(self, state: str, text: str) -> None:
        if state == "busy" and self.state in ("ready", "failed"):
            self._began = time.monotonic()
        self.state, self.text = state, text
        self._took = None if state == "busy" else self.seconds()

    def seconds(self) -> float:
        """How long it has been at it, or how long it took."""
        return time.monotonic() - self._began if self._took is None else self._took

    def mark(self) -> rich.text.Text | rich.spinner.Spinner:
        return self.MARKS.get(self.state, self._spinner)
