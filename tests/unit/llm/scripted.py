"""An engine under a test's control, a job to give to handlers, and a cache that is a dict."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio
import msgspec

from svc import cache
from svc.bus import api, job, limits, subjects
from svc.llm import engine, pool
from svc.wire import base, characters, llm


class Scripted:
    """`engine.Engine`: writes `texts` when `go` is set, or raises `error`. Counts words."""

    name = "scripted"
    model = "none"
    context = 1000
    silence_s = limits.MODEL_STALL_S

    def __init__(self, *texts: str) -> None:
        self.texts = texts or ("Holy crap, beer!",)
        self.go = anyio.Event()
        self.go.set()
        self.error: engine.EngineError | None = None
        self.asks: list[engine.Ask] = []
        self.pool = pool.Pool(limits.MODEL_SLOTS)
        self.started = anyio.Event()
        self.cancelled = 0
        self.running = 0
        self.most_running = 0
        self.warmed = 0

    async def warm(self) -> None:
        self.warmed += 1

    def prompt_max(self, sampling: characters.Sampling) -> int:
        return self.context - engine.Ask(messages=(), sampling=sampling).max_tokens

    async def count(self, messages: Sequence[llm.ChatMessage], opener: str) -> int:
        await anyio.lowlevel.checkpoint()
        return sum(len(message.content.split()) for message in messages)

    async def generate(self, ask: engine.Ask, on_token: engine.OnToken) -> engine.Drafts:
        moved = functools.partial(on_token, 0, "")
        async with self.pool.take(1, background=ask.background, moved=moved) as place:
            await self._write(ask, on_token)
        drafts = tuple(engine.Draft(text, 3, "stop") for text in self.texts)
        return engine.Drafts(drafts, 10, place.waited_s)

    async def _write(self, ask: engine.Ask, on_token: engine.OnToken) -> None:
        self.asks.append(ask)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.started.set()
        try:
            if self.error is not None:
                raise self.error
            on_token(0, self.texts[0][:4])
            await self.go.wait()
            on_token(0, self.texts[0][4:])
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def check(self) -> None:
        if self.error is not None:
            raise self.error

    async def close(self) -> None:
        """Nothing to close."""


class Casts:
    """The one thing of a bus that the model service uses."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, msgspec.Struct]] = []

    async def cast(self, subject: str, body: msgspec.Struct) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append((subject, body))


class DictCache:
    """`cache.Cache` without a server."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str, kind: type[Any]) -> Any:
        await anyio.lowlevel.checkpoint()
        return base.decode(self.kept[key], kind) if key in self.kept else None

    async def set(self, key: str, value: object) -> None:
        await anyio.lowlevel.checkpoint()
        self.kept[key] = base.encode(value)

    def as_cache(self) -> cache.Cache:
        return cast(cache.Cache, self)


def a_job(
    casts: Casts | None = None,
    *,
    left_s: float = 10.0,
    method: str = "generate",
    turn: str = "t1",
    n: str = "1",
) -> job.Job:
    return job.Job(
        bus=cast(api.Bus, casts or Casts()),
        subject=subjects.Subject("req", "llm", method, turn, n),
        deadline=time.time() + left_s,
        stored_at=time.time(),
        sequence=1,
        deliveries=1,
    )


def only(counters: Mapping[str, float]) -> dict[str, float]:
    """Those that are not zero."""
    return dict(Counter({name: value for name, value in counters.items() if value}))
