"""Processes that die, or stand still for a while, at exactly the moment a test chooses.

Each life of a process has its own connection: `Life` is its broker and its way to the cache. Whatever it
changes outside itself is an *effect*, numbered from 1 over all its lives. A fault happens just before an
effect, or just after it, before the process learns of it. What a dead one does while it is torn down (give
back, announce, leave) reaches nobody, as after `kill -9`; a frozen one goes on later, as after SIGSTOP.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar, cast

import anyio
import anyio.lowlevel
import redis.asyncio

from svc import cache
from svc.bus import api, broker, connection, errors, limits, streams
from tests.unit import fake_redis
from tests.unit.survival import sloppy

T = TypeVar("T")
Kind = Literal["crash", "freeze", "unheard", "cut", "wipe", "unplug"]
"""The process dies, stands still, or does not hear that a message was stored; or the broker loses power; or
the cache loses everything, or can't be reached for a while."""
Moment = Literal["before", "after"]
RESTART_S = 0.5
FREEZE_S = 20.0
"""Longer than every lease of a delivery and of a channel."""
AWAY_S = 2.0
"""The broker is away this long after a power cut."""
UNPLUGGED_S = 1.0
"""The cache can't be reached for this long: it is back before anybody asks for what it missed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """What happens at effect number `point` of a process."""

    process: str
    point: int
    moment: Moment = "after"
    kind: Kind = "crash"


class Process:
    """One process over all its lives."""

    def __init__(self, name: str, server: sloppy.Sloppy, shared: fake_redis.FakeRedis) -> None:
        self.name = name
        self.server = server
        self.shared = shared
        self.faults: dict[int, Fault] = {}
        self.stricken: Callable[[Life, Fault], None] = lambda _life, _fault: None
        """Told of every fault just before it happens."""
        self.effects: list[str] = []
        """What it did, in order: `take turn.user.peter`, `append req.llm.generate`."""
        self.lives: list[Life] = []
        self.ready = anyio.Event()
        """Served for the first time."""

    async def live(self, host: Callable[[Life], Awaitable[None]]) -> None:
        """Run `host`, and again after every crash."""
        while True:
            life = Life(self)
            self.lives.append(life)
            try:
                with life.scope:
                    await host(life)
            except Exception:
                if not life.dead:
                    raise
            for subscription in life.subscriptions:
                await subscription.close()
            await anyio.sleep(RESTART_S)


class Life:
    """One life. Implements `broker.Broker`, and knows the way to the cache."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.dead = False
        self.scope = anyio.CancelScope()
        self.subscriptions: list[broker.Subscription] = []
        self.work: dict[str, bool] = {}
        """Reply subject -> whether its work is done, of all work begun in this life."""
        self._server = process.server
        self._thaws_at = 0.0

    def bus(self) -> connection.Connection:
        return connection.Connection(cast(broker.Broker, self), self.process.name)

    def shared(self) -> cache.Cache:
        return cache.Cache(cast(redis.asyncio.Redis, _Cache(self, self.process.shared)))

    # -- faults -----------------------------------------------------------------------------------------

    async def effect(
        self,
        label: str,
        do: Callable[[], Awaitable[T]],
        *,
        online: bool = True,
        unheard: Exception | None = None,
    ) -> T:
        """Do something that others can see, unless this life has ended; then nobody ever sees it.

        What is `online` needs the broker. `unheard` is raised although it was done where the process must not
        hear of it.
        """
        process = self.process
        process.effects.append(label)
        fault = process.faults.get(len(process.effects))
        # What was on its way when a process froze goes out when it goes on, whatever its timers say.
        with anyio.CancelScope(shield=self.frozen() or (fault is not None and fault.kind == "freeze")):
            await self.reach(online=online)
            if fault and fault.moment == "before":
                await self._strike(fault, online=online)
            try:
                result = await do()
            finally:
                if fault and fault.moment == "after":
                    await self._strike(fault, online=online)
        if fault and fault.kind == "unheard" and unheard:
            raise unheard
        return result

    async def reach(self, *, online: bool = True) -> None:
        """Wait until this process runs, and the broker. Raises NotAccepted when it is dead for good."""
        while not self.dead and anyio.current_time() < (
            until := max(self._thaws_at, self._server.back_at if online else 0.0)
        ):
            await anyio.sleep_until(until)
        if self.dead:
            await anyio.lowlevel.checkpoint()
            raise errors.NotAccepted(f"{self.process.name} is dead")

    def frozen(self) -> bool:
        return anyio.current_time() < self._thaws_at

    def die(self) -> None:
        self.dead = True
        self.scope.cancel()

    async def _strike(self, fault: Fault, *, online: bool) -> None:
        self.process.stricken(self, fault)
        shared = self.process.shared
        if fault.kind == "crash":
            self.die()
        elif fault.kind == "freeze":
            self._thaws_at = anyio.current_time() + FREEZE_S
        elif fault.kind == "cut":
            self._server.cut(anyio.current_time() + AWAY_S)
        elif fault.kind == "wipe":
            shared.lose()
        elif fault.kind == "unplug":
            shared.error = ConnectionError("unplugged")
            plug_in = functools.partial(setattr, shared, "error", None)
            asyncio.get_running_loop().call_later(UNPLUGGED_S, plug_in)
        await self.reach(online=online)

    # -- the broker --------------------------------------------------------------------------------------

    async def append(
        self,
        subject: str,
        data: bytes,
        headers: Mapping[str, str],
        *,
        expect: int | None = 0,
        within_s: float = limits.APPEND_S,
    ) -> int:
        # Whose acknowledgment is lost publishes again, and is told that it is there.
        unheard = None if expect is None else errors.AlreadyRecorded(subject)
        return await self.effect(
            f"append {_short(subject)}",
            lambda: self._server.append(subject, data, headers, expect=expect, within_s=within_s),
            unheard=unheard,
        )

    async def last(self, subject: str) -> api.Message | None:
        await self.reach()
        return await self._server.last(subject)

    async def latest(self, stream: str, patterns: Sequence[str]) -> list[api.Message]:
        await self.reach()
        return await self._server.latest(stream, patterns)

    async def delete(self, stream: str, sequence: int) -> bool:
        return await self.effect(f"delete {stream}", lambda: self._server.delete(stream, sequence))

    async def cast(
        self, subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        await self.effect(
            f"cast {_short(subject)}",
            lambda: self._server.cast(subject, data, reply=reply, headers=headers),
        )

    async def subscribe(self, pattern: str, callback: broker.Callback) -> broker.Subscription:
        await self.reach()
        subscription = await self._server.subscribe(pattern, callback)
        self.subscriptions.append(subscription)
        return subscription

    async def puller(self, consumer: streams.Consumer) -> broker.Puller:
        await self.reach()
        return cast(broker.Puller, _Puller(self, await self._server.puller(consumer)))

    async def ack(self, delivery: broker.Delivery) -> None:
        await self.effect(f"ack {_short(delivery.message.subject)}", lambda: self._server.ack(delivery))

    async def nak(self, delivery: broker.Delivery, after_s: float = 0.0) -> None:
        label = f"nak {_short(delivery.message.subject)}"
        await self.effect(label, lambda: self._server.nak(delivery, after_s))

    async def term(self, delivery: broker.Delivery, reason: str) -> None:
        label = f"term {_short(delivery.message.subject)}"
        await self.effect(label, lambda: self._server.term(delivery, reason))

    async def renew(self, delivery: broker.Delivery) -> None:
        await self.reach()
        await self._server.renew(delivery)

    def connected(self) -> bool:
        return anyio.current_time() >= self._server.back_at

    def __getattr__(self, name: str) -> Any:
        """Whatever else a broker can do changes nothing."""
        return getattr(self._server, name)


class _Puller:
    def __init__(self, life: Life, inner: broker.Puller) -> None:
        self._life = life
        self._inner = inner

    async def next(self) -> broker.Delivery | None:
        await self._life.reach()
        delivery = await self._inner.next()
        if delivery is not None:
            await self._life.effect(f"take {_short(delivery.message.subject)}", anyio.lowlevel.checkpoint)
        return delivery

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Cache:
    """The commands of `fake_redis.FakeRedis`, as one life gives them: writing is an effect."""

    def __init__(self, life: Life, server: fake_redis.FakeRedis) -> None:
        self._life = life
        self._server = server

    async def set(self, key: str, data: bytes, *, ex: int) -> bool:
        return await self._life.effect("cache set", lambda: self._server.set(key, data, ex=ex), online=False)

    async def rename(self, key: str, to: str) -> bool:
        return await self._life.effect("cache rename", lambda: self._server.rename(key, to), online=False)

    def pipeline(self, *, transaction: bool) -> _Pipeline:
        assert transaction
        return _Pipeline(self._life, self._server)

    def __getattr__(self, name: str) -> Any:
        """Every other command only reads."""
        command = getattr(self._server, name)

        async def read(*args: Any, **options: Any) -> Any:
            await self._life.reach(online=False)
            return await command(*args, **options)

        return read


class _Pipeline(fake_redis.Pipeline):
    def __init__(self, life: Life, server: fake_redis.FakeRedis) -> None:
        super().__init__(server)
        self._life = life

    async def execute(self) -> None:
        await self._life.effect("cache write", super().execute, online=False)


def _short(subject: str) -> str:
    """Without turn and number, which say nothing about what is done."""
    return ".".join(subject.split(".")[:3])
