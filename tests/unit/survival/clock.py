"""Time that jumps: nobody waits. A lease of eight seconds runs out as soon as nothing else is left to do.

The loop never sleeps: where it would, it moves its clock to the next timer. `time` shows the same clock, so
what a run does depends on nothing but the code, and a failing example fails again.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import selectors
import sys
import time
import types
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple, TypeVar

import anyio
import pytest

from svc.bus import limits, memory

T = TypeVar("T")
EPOCH = 1_800_000_000.0
"""Unix seconds at which every run begins."""


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jump(self))

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now


class _Jump(selectors.SelectSelector):
    """Nothing here reads a socket, so the only thing to wait for is the next timer."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and no timer runs: this would hang for ever")
        self._loop.now += timeout
        return []


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` to its end on a clock that jumps."""
    loop = Loop()
    shown = {id(time.time): loop.wall, id(time.monotonic): loop.time, id(time.perf_counter): loop.time}
    kept = _kept()  # looked for while the real clock can still be recognised
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", loop.wall)
        patch.setattr(time, "monotonic", loop.time)
        patch.setattr(time, "perf_counter", loop.time)
        for function in kept.functions:
            defaults = tuple(shown.get(id(value), value) for value in function.__defaults__ or ())
            patch.setattr(function, "__defaults__", defaults)
        for cell in kept.cells:
            patch.setattr(cell, "cell_contents", shown[id(cell.cell_contents)])
        patch.setattr(memory, "PULL_S", limits.PULL_S)  # short pulls are for those who wait for real
        patch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # those who die complain a lot
        return anyio.run(main, backend_options={"loop_factory": lambda: loop})


def wall() -> float:
    """Unix seconds on the clock of the run."""
    return EPOCH + asyncio.get_running_loop().time()


class _Kept(NamedTuple):
    """Where our code keeps the real clock: in defaults of arguments, and as what makes a dataclass field."""

    functions: tuple[types.FunctionType, ...]
    cells: tuple[types.CellType, ...]


@functools.cache
def _kept() -> _Kept:
    real = (time.time, time.monotonic, time.perf_counter)
    functions = tuple(_functions())
    cells = [cell for function in functions for cell in function.__closure__ or ()]
    return _Kept(
        tuple(one for one in functions if any(value in real for value in one.__defaults__ or ())),
        tuple(cell for cell in cells if cell.cell_contents in real),
    )


def _functions() -> Iterator[types.FunctionType]:
    for name, module in tuple(sys.modules.items()):
        if name.startswith("svc."):
            for thing in vars(module).values():
                members = vars(thing).values() if isinstance(thing, type) else (thing,)
                yield from (member for member in members if isinstance(member, types.FunctionType))
