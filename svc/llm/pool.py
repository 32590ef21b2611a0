"""A pool in two classes: what generations share, and the one line in which they wait for it.

Whoever somebody waits for goes first: background work starts only while no such request waits, however long
it waited itself. Nothing is taken away from what runs. Waiting here can be cancelled at once; what waits
inside an engine often can't be, and there it would be first come, first served.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator, Callable

import anyio


@dataclasses.dataclass(eq=False, slots=True)
class Place:
    """One visit: in line, then inside."""

    wants: tuple[int, ...]
    moved: Callable[[], None]
    admitted: anyio.Event = dataclasses.field(default_factory=anyio.Event)
    waited_s: float = 0.0


class Pool:
    """So much of each of several things (places, sequences, context cells), taken together or not at all."""

    def __init__(self, *capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._first: collections.deque[Place] = collections.deque()
        self._background: collections.deque[Place] = collections.deque()
        self._inside: list[Place] = []
        self._telling = False

    @property
    def inside(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        return len(self._first) + len(self._background)

    @contextlib.asynccontextmanager
    async def take(
        self, *wants: int, background: bool = False, moved: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Place]:
        """Hold that much for the length of the block. More than there is counts as all there is.

        `moved` is called whenever anybody inside gets on: while it does, neither to wait in line nor to be
        served in turns with others is to hang.
        """
        place = Place(tuple(map(min, wants, self._capacity)), moved)
        line = self._background if background else self._first
        line.append(place)
        self._admit()
        began = time.perf_counter()
        try:
            await place.admitted.wait()
            place.waited_s = time.perf_counter() - began
            yield place
        finally:
            # Admitted and cancelled in the same moment counts as admitted.
            if place.admitted.is_set():
                self._inside.remove(place)
                self._free = tuple(free + taken for free, taken in zip(self._free, place.wants, strict=True))
                self.moved()
            else:
                line.remove(place)
            self._admit()

    def moved(self) -> None:
        """Somebody inside got on (a token came, or one is done): tell everybody, once."""
        if self._telling:
            return
        self._telling = True
        try:
            for place in (*self._inside, *self._first, *self._background):
                place.moved()
        finally:
            self._telling = False

    def _admit(self) -> None:
        """Let in from the head of the line only, so that a large request is not starved by small ones."""
        while line := self._first or self._background:
            place = line[0]
            if any(free < wanted for free, wanted in zip(self._free, place.wants, strict=True)):
                return
            line.popleft()
            self._free = tuple(free - wanted for free, wanted in zip(self._free, place.wants, strict=True))
            self._inside.append(place)
            place.admitted.set()
