"""Single flight: identical requests at the same time are one piece of work.

Whoever comes first does it, in their own task and by their own deadline. When they are cancelled, one of
those who waited takes over; when the work fails, everybody gets its error.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from svc.llm import engine

T = TypeVar("T")


@dataclasses.dataclass(eq=False)
class _Flight(Generic[T]):
    listeners: list[engine.OnToken]
    landed: anyio.Event = dataclasses.field(default_factory=anyio.Event)
    result: T | None = None
    error: Exception | None = None

    def on_token(self, index: int, text: str) -> None:
        for listener in self.listeners:
            listener(index, text)


class Flights(Generic[T]):
    def __init__(self) -> None:
        self._flying: dict[str, _Flight[T]] = {}

    async def join(
        self, key: str, work: Callable[[engine.OnToken], Awaitable[T]], on_token: engine.OnToken
    ) -> tuple[T, bool]:
        """The result of `work`, and whether somebody else did it. Every `on_token` hears every token."""
        while (flight := self._flying.get(key)) is not None:
            flight.listeners.append(on_token)
            try:
                await flight.landed.wait()
            finally:
                flight.listeners.remove(on_token)
            if flight.error is not None:
                raise flight.error
            if flight.result is not None:
                return flight.result, True
        flight = self._flying[key] = _Flight([on_token])
        try:
            flight.result = await work(flight.on_token)
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flying[key]
            flight.landed.set()
        return flight.result, False
