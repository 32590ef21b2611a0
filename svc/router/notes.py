"""What a run of a turn sees that no reply records: the clock, limits, what this process remembers.

Each look is noted under a name and goes into the outcome (`Ended.noted`). A replay hands the notes back, so
it sees the same clock and decides the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from svc.wire import turn

Note = float | str


class Notes:
    """Of one run. With `recorded`, what was noted then is what is seen now."""

    def __init__(self, recorded: Mapping[str, Note] | None = None) -> None:
        self._recorded = recorded or {}
        self.taken: dict[str, Note] = {}

    @classmethod
    def of(cls, ended: turn.Ended) -> Notes:
        return cls(ended.noted)

    def number(self, name: str, live: Callable[[], float]) -> float:
        """A number under `name`: as recorded, else as `live` says."""
        known = self._recorded.get(name)
        value = float(known) if isinstance(known, (int, float)) else float(live())
        self.taken[name] = value
        return value

    def word(self, name: str, live: Callable[[], str]) -> str:
        known = self._recorded.get(name)
        value = known if isinstance(known, str) else live()
        self.taken[name] = value
        return value

    async def answer(self, name: str, live: Callable[[], Awaitable[float]]) -> float:
        """The same for a number that has to be asked for."""
        known = self._recorded.get(name)
        value = float(known) if isinstance(known, (int, float)) else float(await live())
        self.taken[name] = value
        return value
