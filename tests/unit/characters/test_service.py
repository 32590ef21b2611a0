"""The service: its table, its refusals and its cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import redis.asyncio

from svc import cache, config, errors
from svc.bus import errors as bus_errors
from svc.bus import job
from svc.bus import service as bus_service
from svc.characters import service
from svc.wire import base, characters
from tests.unit.characters import packs

pytestmark = pytest.mark.anyio

JOB = cast(job.Job, None)
"""No handler here looks at its job."""


class Shelf:
    """What the cache needs of a Redis client, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.lifetimes: dict[str, int] = {}
        self.away = False

    async def get(self, key: str) -> bytes | None:
        if self.away:
            raise OSError("away")
        return self.kept.get(key)

    async def set(self, key: str, data: bytes, ex: int) -> None:
        if self.away:
            raise OSError("away")
        self.kept[key], self.lifetimes[key] = data, ex


class Caller:
    """A served characters service over its own shelf."""

    def __init__(self, served: bus_service.Service, shelf: Shelf) -> None:
        self.served, self.shelf = served, shelf
        self.answers: dict[str, bus_service.Answer[Any, Any]] = {each.method: each for each in served.answers}

    async def prompt(self, character: str, topic: str = "", guild: str = "") -> characters.Prompt:
        request = characters.PromptRequest(character=character, topic=topic, guild=guild)
        answer: characters.Prompt = await self.answers["prompt"].handler(request, JOB)
        return answer

    async def list(self) -> characters.Cast:
        answer: characters.Cast = await self.answers["list"].handler(characters.ListRequest(), JOB)
        return answer


class Opened:
    """`async with Opened(folder) as caller`."""

    def __init__(self, folder: str = "") -> None:
        self.folder = folder
        self.shelf = Shelf()

    async def __aenter__(self) -> Caller:
        self.tasks = anyio.create_task_group()
        await self.tasks.__aenter__()
        app = bus_service.App(
            bus=cast(Any, None),
            cache=cache.Cache(cast(redis.asyncio.Redis, self.shelf)),
            common=config.Common(characters=self.folder),
            tasks=self.tasks,
        )
        self.door = service.open(app)
        return Caller(await self.door.__aenter__(), self.shelf)

    async def __aexit__(self, *failure: Any) -> None:
        await self.door.__aexit__(*failure)
        await self.tasks.__aexit__(*failure)


async def test_the_whole_cast_is_listed() -> None:
    async with Opened() as caller:
        listed = await caller.list()
    assert [pack.id for pack in listed.packs] == ["brian", "peter", "stewie"]
    assert len(base.encode(listed)) < 512 * 1024, "one message on the bus holds at most 1 MiB"


async def test_a_prompt_is_made_for_the_one_asked_for() -> None:
    async with Opened() as caller:
        built = await caller.prompt("stewie", "do you like beer {really}?\x00")
    assert built.name == "Stewie Griffin"
    assert "Do you like beer?" in [example.user for example in built.examples]


async def test_nobody_unknown_is_played() -> None:
    async with Opened() as caller:
        with pytest.raises(bus_errors.Refused) as caught:
            await caller.prompt("meg")
    assert caught.value.code == "unknown_character"
    assert caught.value.message.endswith("known: brian, peter, stewie")


async def test_a_prompt_is_kept_for_a_day_under_the_documents_key() -> None:
    async with Opened() as caller:
        first = await caller.prompt("peter", "beer")
        (key,) = caller.shelf.kept
        assert key.startswith("char_config:peter:")
        assert caller.shelf.lifetimes[key] == 24 * 60 * 60
        assert await caller.prompt("peter", "beer") == first
        assert caller.served.counters()["characters_prompt_cache_hit_total"] == 1


async def test_the_cached_prompt_is_the_one_that_is_given() -> None:
    async with Opened() as caller:
        await caller.prompt("peter", "beer")
        (key,) = caller.shelf.kept
        other = await caller.prompt("brian", "beer")
        caller.shelf.kept[key] = base.encode(other)
        assert await caller.prompt("peter", "beer") == other


async def test_topic_and_guild_have_keys_of_their_own() -> None:
    async with Opened() as caller:
        for topic, guild in (("beer", ""), ("work", ""), ("beer", "g1"), ("", "beer")):
            await caller.prompt("peter", topic, guild)
        assert len(caller.shelf.kept) == 4


async def test_an_edited_pack_or_cast_never_meets_an_old_prompt(tmp_path: Path) -> None:
    keys: set[str] = set()
    text = packs.minimal()
    abe = text.replace('id = "nell"', 'id = "abe"').replace("Nell Harbor", "Abe Harbor")
    for version in (text, text.replace("weathered, kind", "kind"), None):
        if version is None:
            packs.write(tmp_path, abe, "abe")
        else:
            packs.write(tmp_path, version)
        async with Opened(str(tmp_path)) as caller:
            await caller.prompt("nell", "beer")
            keys |= set(caller.shelf.kept)
    assert len(keys) == 3


async def test_a_fourth_character_speaks_and_ends_the_drafts_of_the_others(tmp_path: Path) -> None:
    for file in config.shipped("characters").glob("*.toml"):
        packs.write(tmp_path, file.read_text("utf-8"), file.stem)
    packs.write(tmp_path, packs.minimal())
    async with Opened(str(tmp_path)) as caller:
        nell, peter = await caller.prompt("nell", "any advice?"), await caller.prompt("peter")
    assert "harbor master" in nell.system
    assert len(nell.examples) == 4
    assert "Nell:" in peter.stop
    assert "Peter:" in nell.stop


async def test_without_a_cache_prompts_are_made_and_health_says_so() -> None:
    async with Opened() as caller:
        caller.shelf.away = True
        assert (await caller.prompt("peter")).name == "Peter Griffin"
        assert caller.served.health().level == "degraded"


async def test_a_bad_pack_stops_the_start(tmp_path: Path) -> None:
    packs.write(tmp_path / "characters", packs.minimal().replace("voice", "voise"))
    with pytest.raises((errors.ConfigError, ExceptionGroup)) as caught:
        async with Opened(str(tmp_path / "characters")):
            pass
    assert isinstance(caught.value, errors.ConfigError)
    assert "did you mean 'voice'?" in str(caught.value)
