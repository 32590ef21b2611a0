from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import redis.asyncio

from svc import cache, embedding, knowledge
from svc.retriever import search
from svc.wire import message, retriever

pytestmark = pytest.mark.anyio

BEER = retriever.Passage(id="1", text="Ale.", title="Beer", source="knowledge/beer.md", score=0.8)
NOISE = retriever.Passage(id="2", text="Tax law.", title="Tax", source="knowledge/tax.md", score=0.1)


class Memory:
    """As much of a Redis client as the cache uses."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    async def set(self, key: str, data: bytes, ex: int) -> None:
        self.kept[key] = data


class Counting:
    name = "fake"
    dimensions = 2

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> embedding.Vectors:
        self.texts += texts
        return np.ones((len(texts), 2), dtype=np.float32)


class FakeIndex(knowledge.Index):
    """An index whose content, version and mood the test sets."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "fake")
        self.found = [BEER, NOISE]
        self.version = "v1"
        self.broken: knowledge.Unavailable | None = None
        self.queries = 0

    async def state(self) -> knowledge.State:
        if self.broken:
            raise self.broken
        return knowledge.State(self.version, len(self.found))

    async def nearest(self, vector: embedding.Vectors, limit: int) -> list[retriever.Passage]:
        self.queries += 1
        if self.broken:
            raise self.broken
        return self.found[:limit]


class World:
    def __init__(self) -> None:
        self.index, self.embedder, self.memory = FakeIndex(), Counting(), Memory()
        self.cache = cache.Cache(cast(redis.asyncio.Redis, self.memory))
        self.searcher = search.Searcher(self.index, self.embedder, self.cache, floor=0.3)

    async def ask(self, text: str = "What beer is best around here?", **more: object) -> retriever.Passages:
        return await self.searcher.search(retriever.SearchRequest(text=text, **more))  # type: ignore[arg-type]


@pytest.fixture
async def world() -> World:
    made = World()
    await made.searcher.look()
    return made


async def test_relevant_passages_are_given_with_the_version_they_come_from(world: World) -> None:
    found = await world.ask()
    assert (found.passages, found.index, found.cached, found.degraded) == ((BEER,), "fake-v1", False, ())
    world.index.found = [NOISE]
    assert (await world.ask("How do I file my taxes?")).passages == ()
    assert (world.searcher.counts["searches"], world.searcher.counts["empty"]) == (2, 1)


async def test_an_answer_is_remembered_for_its_version_only(world: World) -> None:
    first = await world.ask()
    queries = world.index.queries
    again = await world.ask()
    assert (again.passages, again.cached, world.index.queries) == (first.passages, True, queries)
    (key,) = world.memory.kept
    kind, _, version = key.split(":")
    assert (kind, version) == ("rag", "fake-v1")

    world.index.version, world.index.found = "v2", []
    await world.searcher.look()
    fresh = await world.ask()
    assert (fresh.passages, fresh.cached, fresh.index) == ((), False, "fake-v2")


async def test_what_the_answer_depends_on_is_part_of_the_key(world: World) -> None:
    said = message.Utterance(id="1", author=message.Author(id="1"), text="I like Providence")
    await world.ask("what is it")
    for more in ({"character": "peter"}, {"guild": "g"}, {"limit": 5}, {"history": (said,)}):
        assert not (await world.ask("what is it", **more)).cached
    assert len(world.memory.kept) == 5


async def test_the_vector_of_a_question_is_remembered(world: World) -> None:
    await world.ask(guild="a")
    await world.ask(guild="b")
    assert world.embedder.texts.count("What beer is best around here?") == 1
    for n in range(search.VECTORS_MAX):
        await world.ask(f"Is number {n} a good number of beers to drink?")
    await world.ask(guild="c")
    assert world.embedder.texts.count("What beer is best around here?") == 2


async def test_without_an_index_the_answer_says_so_and_is_not_remembered(world: World) -> None:
    await world.ask("What beer is best around here?")
    world.index.broken = knowledge.Unavailable("gone")
    known = await world.ask("What beer is best around here?")
    assert (known.passages, known.cached) == ((BEER,), True)
    lost = await world.ask("Which ale is best around here?")
    assert (lost.passages, lost.degraded) == ((), ("no_knowledge",))
    assert world.searcher.health().reasons == ("gone",)
    queries = world.index.queries
    assert (await world.ask("Which ale is best around here?")).degraded
    assert world.index.queries == queries  # nobody waits for what is known to be away

    world.index.broken = None
    await world.searcher.look()
    assert world.searcher.health().level == "ok"
    back = await world.ask("Which ale is best around here?")
    assert (back.passages, back.degraded, back.cached) == ((BEER,), (), False)


async def test_a_search_for_nothing_finds_nothing(world: World) -> None:
    queries = world.index.queries
    assert (await world.ask("<@123>")).passages == ()
    assert world.index.queries == queries
