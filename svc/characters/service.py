"""The characters service: who the cast is, and the prompt to speak as one of them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping

import anyio.to_thread

from svc import cache
from svc.bus import job, service
from svc.characters import prompt, roster
from svc.wire import characters

NAME = "characters"
KEY = "char_config"
"""First part of the document's cache key `char_config:{character}:{topic_hash}`, kept for 24 h."""


@contextlib.asynccontextmanager
async def open(app: service.App) -> service.Opened:
    """Read the packs and answer with them. Raises ConfigError naming file and line of a bad pack."""
    folder = app.common.characters_path()
    cast = await anyio.to_thread.run_sync(roster.Roster.load, folder)
    desk = Desk(cast, app.cache)
    yield service.Service(
        name=NAME,
        describe="Who they are: packs and prompts",
        answers=(
            service.Answer("prompt", characters.PromptRequest, characters.Prompt, desk.prompt),
            service.Answer("list", characters.ListRequest, characters.Cast, desk.list),
        ),
        health=app.cache.health,
        counters=desk.counters,
        gauges=desk.gauges,
        settings={"characters": str(folder), "cast": ", ".join(cast.packs)},
    )


@dataclasses.dataclass(slots=True)
class Desk:
    """Answers from the roster. To reload, replace `roster`: versions are part of every key."""

    roster: roster.Roster
    cache: cache.Cache

    async def prompt(self, request: characters.PromptRequest, job: job.Job) -> characters.Prompt:
        """The prompt of one turn, from the cache where it is there. May run twice; same answer.

        Raises Refused `unknown_character`.
        """
        pack = self.roster.find(request.character)
        others = self.roster.others(pack.id)
        hashed = cache.digest(prompt.RECIPE, pack.version, request.guild, others, request.topic)
        key = f"{KEY}:{pack.id}:{hashed}"
        if (kept := await self.cache.get(key, characters.Prompt)) is not None:
            return kept
        built = prompt.build(pack, others, request.topic)
        await self.cache.set(key, built)
        return built

    async def list(self, request: characters.ListRequest, job: job.Job) -> characters.Cast:
        """Every pack, in the order of their ids."""
        return characters.Cast(packs=tuple(self.roster.packs.values()))

    def counters(self) -> Mapping[str, float]:
        counts = self.cache.counts
        return {f"characters_prompt_cache_{result}_total": counts[KEY, result] for result in RESULTS}

    def gauges(self) -> Mapping[str, float]:
        return {"characters_packs": len(self.roster.packs)}


RESULTS = ("hit", "miss", "error")
