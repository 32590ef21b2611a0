"""The service: it waits for the cast, refuses strangers, and remembers its verdicts."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import anyio
import msgspec
import pytest

from svc import cache, config, embedding
from svc.bus import cast as cast_of
from svc.bus import errors, job, service, subjects
from svc.quality import service as quality_service
from svc.wire import characters, quality
from tests.unit.quality.conftest import request

pytestmark = pytest.mark.anyio

ASKED = request("Holy crap! I love beer.", "What's your favorite beer?")


class Cupboard:
    """A Redis client with a dict behind it."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    async def set(self, key: str, data: bytes, ex: int) -> None:
        assert ex == 30 * 60
        self.kept[key] = data


class Characters:
    """A bus on which only the characters service lives, and that one is late."""

    instance = "test-1"

    def __init__(self, packs: tuple[characters.Pack, ...], late: int = 0) -> None:
        self.packs = packs
        self.late = late
        self.asked: list[tuple[str, str, str, int | str]] = []

    async def call(
        self,
        service: str,
        method: str,
        request: Any,
        response: Any,
        *,
        turn: str,
        n: int | str,
        within_s: float,
    ) -> characters.Cast:
        self.asked.append((service, method, turn, n))
        if len(self.asked) <= self.late:
            raise errors.NoReply("nobody is there yet")
        return characters.Cast(packs=self.packs)


@contextlib.asynccontextmanager
async def opened(bus: Characters, cupboard: Cupboard) -> AsyncIterator[service.Service]:
    async with anyio.create_task_group() as tasks:
        app = service.App(
            bus=cast(Any, bus), cache=cache.Cache(cast(Any, cupboard)), common=config.Common(), tasks=tasks
        )
        async with quality_service.open(app) as served:
            yield served
        tasks.cancel_scope.cancel()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, embedder: embedding.Embedder) -> None:
    monkeypatch.setattr(embedding, "load", lambda: embedder)
    monkeypatch.setattr(cast_of, "PAUSE_S", 0.001)


def delivery(bus: Characters, within_s: float = 20.0) -> job.Job:
    now = time.time()
    subject = subjects.parse("req.quality.assess.turn1.0")
    return job.Job(
        bus=cast(Any, bus), subject=subject, deadline=now + within_s, stored_at=now, sequence=1, deliveries=1
    )


async def assess(
    served: service.Service, bus: Characters, asked: quality.AssessRequest
) -> quality.Assessment:
    found = await served.answers[0].handler(asked, delivery(bus))
    assert isinstance(found, quality.Assessment)
    return found


async def test_asks_for_the_cast_until_it_is_given(packs: tuple[characters.Pack, ...]) -> None:
    bus = Characters(packs, late=3)
    async with opened(bus, Cupboard()) as served:
        assert (await assess(served, bus, ASKED)).verdicts[0].accepted
        assert [n for *_, n in bus.asked] == [0, 1, 2, 3]
        assert {(where, what) for where, what, _, _ in bus.asked} == {("characters", "list")}
        assert served.health().level == "ok"


async def test_is_not_ready_while_nobody_knows_the_cast(packs: tuple[characters.Pack, ...]) -> None:
    with anyio.move_on_after(0.1) as waiting:
        async with opened(Characters(packs, late=1_000_000), Cupboard()):
            pytest.fail("the gate can't judge without a cast")
    assert waiting.cancelled_caught


async def test_refuses_a_stranger(packs: tuple[characters.Pack, ...]) -> None:
    bus = Characters(packs)
    async with opened(bus, Cupboard()) as served:
        with pytest.raises(errors.Refused) as refused:
            await assess(served, bus, msgspec.structs.replace(ASKED, character="homer"))
        assert refused.value.code == "unknown_character"


async def test_remembers_verdicts_unless_asked_afresh(packs: tuple[characters.Pack, ...]) -> None:
    bus, cupboard = Characters(packs), Cupboard()
    async with opened(bus, cupboard) as served:
        first = await assess(served, bus, ASKED)
        (key,) = cupboard.kept
        assert key.startswith("qc:")
        assert key.endswith(":peter:user")
        second = await assess(served, bus, ASKED)
        assert (first.cached, second.cached) == (False, True)
        assert second.verdicts == first.verdicts
        fresh = await assess(served, bus, msgspec.structs.replace(ASKED, fresh=True))
        assert not fresh.cached
        both = msgspec.structs.replace(ASKED, replies=(".", *ASKED.replies))
        mixed = await assess(served, bus, both)
        assert (mixed.cached, mixed.best, len(mixed.verdicts)) == (False, 1, 2)
        counted = served.counters()
        assert counted["quality_assessed_total"] == 5
        assert counted["quality_stop_empty_total"] == 1


async def test_shows_the_documented_numbers(packs: tuple[characters.Pack, ...]) -> None:
    async with opened(Characters(packs), Cupboard()) as served:
        assert served.name == "quality"
        assert [(answer.method, answer.slots) for answer in served.answers] == [("assess", 4)]
        assert served.settings["quality_threshold_cold"] == 30.0
        assert served.settings["quality_threshold_warm"] == 60.0
        assert served.settings["quality_threshold_hot"] == 75.0
        assert served.settings["quality_organic_extra"] == 2.0
        assert served.settings["quality_weight_flow"] == 0.30
