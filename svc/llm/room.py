"""Room in an engine: slots and context cells, taken together, first come, first served.

Waiting here can be cancelled at once; a request that waits inside the engine can't.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio


class Room:
    """`slots` sequences at once, sharing `cells` tokens of context."""

    def __init__(self, slots: int, cells: int) -> None:
        self._slots, self._cells = slots, cells
        self._free_slots, self._free_cells = slots, cells
        self._turnstile = anyio.Lock()
        self._freed = anyio.Condition()

    @contextlib.asynccontextmanager
    async def take(self, slots: int, cells: int) -> AsyncIterator[None]:
        """Hold that much for the length of the block. More than there is counts as all there is."""
        slots, cells = min(slots, self._slots), min(cells, self._cells)
        # Only the first in line waits for space, so a large request is not starved by small ones.
        async with self._turnstile, self._freed:
            while self._free_slots < slots or self._free_cells < cells:
                await self._freed.wait()
            self._free_slots -= slots
            self._free_cells -= cells
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                async with self._freed:
                    self._free_slots += slots
                    self._free_cells += cells
                    self._freed.notify_all()
