"""How long there has been work that only one process at a time may do, and no process that does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from svc.bridge import health
from svc.wire import status


class Attendance:
    """Remembers since when; a takeover leaves a gap of seconds, which is no fault."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def observe(
        self, stats: tuple[status.Stats, ...], queues: Mapping[str, status.Queue]
    ) -> dict[str, float]:
        """Seconds without an active process, for each service that lacks one now."""
        now = self._clock()
        lacking = {name for name, queue in queues.items() if _lacks(health.pick(name, stats), queue)}
        self._since = {name: self._since.get(name, now) for name in lacking}
        return {name: now - since for name, since in self._since.items()}


def _lacks(found: tuple[status.Stats, ...], queue: status.Queue) -> bool:
    """Whether somebody should be at work here and nobody is. An idle service has nobody, and needs nobody."""
    if not any(endpoint.data for one in found for endpoint in one.endpoints):
        return False  # all share the work, or nobody is there at all
    actives = {health.active(one) for one in found}
    return True not in actives and (False in actives or queue.waiting > 0)
